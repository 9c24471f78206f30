"""What the kernels share: where a step's rows stand, one step's arithmetic, and waiting for one another."""

import triton
import triton.language as tl

from simlstm.rnn.backends.cuda.kernels.activations import sigmoid, tanh

# A step that no sequence reaches.
NEVER = tl.constexpr(2**30)


@triton.jit
def advance(a_i, a_f, a_g, a_o, c, APPROXIMATE: tl.constexpr):
    """Return the activated gates, c and h after a step, from pre-activations and the c before it; all float32.

    f is never approximate: c is multiplied by it at every step, and a gate of .999 has a memory of a thousand steps,
    which an error of 2e-4 would make another.
    """
    i = sigmoid(a_i, APPROXIMATE)
    f = sigmoid(a_f, False)
    g = tanh(a_g, APPROXIMATE)
    o = sigmoid(a_o, APPROXIMATE)
    c = f * c + i * g
    return i, f, g, o, c, o * tanh(c, APPROXIMATE)


@triton.jit
def retreat(i, f, g, o, c_before, dh, dc, APPROXIMATE: tl.constexpr):
    """Return the gradients of the pre-activations and of the c before a step; README.md of the package derives them."""
    tanh_c = tanh(f * c_before + i * g, APPROXIMATE)
    dc += dh * o * (1.0 - tanh_c * tanh_c)
    d_i = dc * g * i * (1.0 - i)
    d_f = dc * c_before * f * (1.0 - f)
    d_g = dc * i * (1.0 - g * g)
    d_o = dh * tanh_c * o * (1.0 - o)
    return d_i, d_f, d_g, d_o, dc * f


@triton.jit
def product(a, w, total, PRECISION: tl.constexpr):
    """Return total + a @ w in float32; operands are of 16 bits, or float32 in the precision "tf32" or "ieee".

    In the precision "exact", operands of 16 bits are multiplied as float32. Tensor cores compute the same; Triton's
    interpreter could not multiply bfloat16.
    """
    if PRECISION == "exact":
        total = tl.dot(a.to(tl.float32), w.to(tl.float32), acc=total, input_precision="ieee")
    else:
        total = tl.dot(a, w, acc=total, input_precision=PRECISION)
    return total


@triton.jit
def load_gates(pointer, places, mask, CACHE: tl.constexpr, HIDDEN: tl.constexpr):
    """Load i, f, g and o from where i stands; each is H further on, zeros where the mask has nothing.

    CACHE is Triton's cache modifier: "" for none. (Triton 3.6 does not take it by default.)
    """
    i = tl.load(pointer + places, mask=mask, other=0.0, cache_modifier=CACHE)
    f = tl.load(pointer + places + HIDDEN, mask=mask, other=0.0, cache_modifier=CACHE)
    g = tl.load(pointer + places + 2 * HIDDEN, mask=mask, other=0.0, cache_modifier=CACHE)
    o = tl.load(pointer + places + 3 * HIDDEN, mask=mask, other=0.0, cache_modifier=CACHE)
    return i, f, g, o


@triton.jit
def store_gates(pointer, places, mask, i, f, g, o, HIDDEN: tl.constexpr):
    """Store i, f, g and o, each H further on."""
    tl.store(pointer + places, i, mask=mask)
    tl.store(pointer + places + HIDDEN, f, mask=mask)
    tl.store(pointer + places + 2 * HIDDEN, g, mask=mask)
    tl.store(pointer + places + 3 * HIDDEN, o, mask=mask)


@triton.jit
def gate_of_weights(weights, gate: tl.constexpr, rows, columns, HIDDEN: tl.constexpr):
    """Load w[gate * H + row, column] of w_hh [4H, H], zeros beyond H."""
    places = (gate * HIDDEN + rows) * HIDDEN + columns
    return tl.load(weights + places, mask=(rows < HIDDEN) & (columns < HIDDEN), other=0.0)


@triton.jit
def load_weights(weights, rows, columns, HIDDEN: tl.constexpr):
    """Load the same rows and columns of all four gates of w_hh."""
    i = gate_of_weights(weights, 0, rows, columns, HIDDEN)
    f = gate_of_weights(weights, 1, rows, columns, HIDDEN)
    g = gate_of_weights(weights, 2, rows, columns, HIDDEN)
    o = gate_of_weights(weights, 3, rows, columns, HIDDEN)
    return i, f, g, o


@triton.jit
def load_biases(b_ih, b_hh, units, HIDDEN: tl.constexpr):
    """Load b_ih + b_hh of all four gates, [units] each, in float32; zeros where there are none."""
    if b_ih is None:
        i = tl.zeros([units.shape[0]], tl.float32)
        f = i
        g = i
        o = i
    else:
        i, f, g, o = load_gates(b_ih, units, units < HIDDEN, "", HIDDEN)
        i_h, f_h, g_h, o_h = load_gates(b_hh, units, units < HIDDEN, "", HIDDEN)
        i = i.to(tl.float32) + i_h.to(tl.float32)
        f = f.to(tl.float32) + f_h.to(tl.float32)
        g = g.to(tl.float32) + g_h.to(tl.float32)
        o = o.to(tl.float32) + o_h.to(tl.float32)
    return i, f, g, o


@triton.jit
def wait_for(counter, count):
    """Wait until so many programs have announced, and see everything that they wrote before."""
    seen = tl.atomic_add(counter, 0, sem="acquire", scope="gpu")
    while seen < count:
        seen = tl.atomic_add(counter, 0, sem="acquire", scope="gpu")
    tl.debug_barrier()


@triton.jit
def announce(counter):
    """Tell the programs that wait that everything this one wrote is there."""
    tl.debug_barrier()
    tl.atomic_add(counter, 1, sem="release", scope="gpu")
