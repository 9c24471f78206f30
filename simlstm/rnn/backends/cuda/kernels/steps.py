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
def gate_of_weights(weights, gate: tl.constexpr, rows, columns, HIDDEN: tl.constexpr):
    """Load w[gate * H + row, column] of w_hh [4H, H], zeros beyond H."""
    places = (gate * HIDDEN + rows) * HIDDEN + columns
    return tl.load(weights + places, mask=(rows < HIDDEN) & (columns < HIDDEN), other=0.0)


@triton.jit
def bias_of_gate(b_ih, b_hh, gate: tl.constexpr, units, HIDDEN: tl.constexpr):
    """Load b_ih + b_hh of a gate [units] in float32."""
    inside = units < HIDDEN
    of_input = tl.load(b_ih + gate * HIDDEN + units, mask=inside, other=0.0).to(tl.float32)
    return of_input + tl.load(b_hh + gate * HIDDEN + units, mask=inside, other=0.0).to(tl.float32)


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
