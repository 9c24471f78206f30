"""The backward pass of layers whose recurrent weights fit into one multiprocessor; see ``forward_whole``."""

import triton
import triton.language as tl

from simlstm.rnn.backends.cuda.kernels.steps import NEVER, load_gates, load_weights, product, retreat, store_gates


@triton.jit(do_not_specialize=["sequences"])
def backward_whole(
    offsets,
    places,
    lengths,
    w_forward,
    w_reverse,
    kept_gates,
    kept_c,
    dy,
    dhT,
    dcT,
    d_gates,
    dh0,
    dc0,
    sequences,
    HIDDEN: tl.constexpr,
    DIRECTIONS: tl.constexpr,
    PRODUCTS: tl.constexpr,
    PRECISION: tl.constexpr,
    APPROXIMATE: tl.constexpr,
    BLOCK_SEQUENCES: tl.constexpr,
    BLOCK_HIDDEN: tl.constexpr,
):
    """Walk all steps of BLOCK_SEQUENCES sequences in one direction back; README.md of the package names the arguments.

    What is None is zero: the gradients of results that nobody used.
    """
    direction = tl.program_id(0) % DIRECTIONS
    first = tl.program_id(0) // DIRECTIONS * BLOCK_SEQUENCES
    sequence = first + tl.arange(0, BLOCK_SEQUENCES)
    unit = tl.arange(0, BLOCK_HIDDEN)
    exists = sequence < sequences
    is_unit = unit < HIDDEN

    w_hh = w_forward
    if direction == 1:
        w_hh = w_reverse
    w_i, w_f, w_g, w_o = load_weights(w_hh, unit[:, None], unit[None, :], HIDDEN)  # [unit, k]

    state = (direction * sequences + sequence).to(tl.int64)[:, None] * HIDDEN + unit[None, :]
    is_state = exists[:, None] & is_unit[None, :]
    dh = tl.zeros([BLOCK_SEQUENCES, BLOCK_HIDDEN], tl.float32)
    dc = dh
    if dhT is not None:
        dh = tl.load(dhT + state, mask=is_state, other=0.0).to(tl.float32)
    if dcT is not None:
        dc = tl.load(dcT + state, mask=is_state, other=0.0).to(tl.float32)

    length = tl.load(lengths + sequence, mask=exists, other=0)
    steps = tl.load(lengths + first)
    place = sequence
    if places is not None:
        place = tl.load(places + sequence, mask=exists, other=0)
    t = steps - 1
    stride = -1
    if direction == 1:
        t = steps * 0
        stride = 1

    # What the forward pass kept is fetched one step ahead, as there.
    row = (tl.load(offsets + t, mask=steps > 0, other=0) + place).to(tl.int64)
    is_row = (t < length)[:, None] & is_unit[None, :]
    place_of_kept = (row * DIRECTIONS + direction)[:, None] * (4 * HIDDEN) + unit[None, :]
    i, f, g, o = load_gates(kept_gates, place_of_kept, is_row, "", HIDDEN)
    place_of_h = (row * DIRECTIONS + direction)[:, None] * HIDDEN + unit[None, :]
    c_before = tl.load(kept_c + place_of_h, mask=is_row, other=0.0)
    dy_t = tl.zeros([BLOCK_SEQUENCES, BLOCK_HIDDEN], tl.float32)
    if dy is not None:
        dy_t = tl.load(dy + place_of_h, mask=is_row, other=0.0).to(tl.float32)
    for step in range(steps):
        t_next = tl.where(step + 1 < steps, t + stride, NEVER)
        row_next = (tl.load(offsets + t_next, mask=t_next < steps, other=0) + place).to(tl.int64)
        is_row_next = (t_next < length)[:, None] & is_unit[None, :]
        place_of_kept_next = (row_next * DIRECTIONS + direction)[:, None] * (4 * HIDDEN) + unit[None, :]
        i_next, f_next, g_next, o_next = load_gates(kept_gates, place_of_kept_next, is_row_next, "", HIDDEN)
        place_of_h = (row_next * DIRECTIONS + direction)[:, None] * HIDDEN + unit[None, :]
        c_before_next = tl.load(kept_c + place_of_h, mask=is_row_next, other=0.0)
        dy_next = dy_t
        if dy is not None:
            dy_next = tl.load(dy + place_of_h, mask=is_row_next, other=0.0).to(tl.float32)

        d_i, d_f, d_g, d_o, dc_new = retreat(
            i.to(tl.float32),
            f.to(tl.float32),
            g.to(tl.float32),
            o.to(tl.float32),
            c_before,
            dh + dy_t,
            dc,
            APPROXIMATE,
        )
        d_i = d_i.to(PRODUCTS)
        d_f = d_f.to(PRODUCTS)
        d_g = d_g.to(PRODUCTS)
        d_o = d_o.to(PRODUCTS)
        store_gates(d_gates, place_of_kept, is_row, d_i, d_f, d_g, d_o, HIDDEN)
        dh_new = product(d_i, w_i, tl.zeros([BLOCK_SEQUENCES, BLOCK_HIDDEN], tl.float32), PRECISION)
        dh_new = product(d_f, w_f, dh_new, PRECISION)
        dh_new = product(d_g, w_g, dh_new, PRECISION)
        dh_new = product(d_o, w_o, dh_new, PRECISION)
        # A sequence that has not begun its way back keeps what reaches its final states.
        dh = tl.where(is_row, dh_new, dh)
        dc = tl.where(is_row, dc_new, dc)

        t = t_next
        place_of_kept = place_of_kept_next
        is_row = is_row_next
        i = i_next
        f = f_next
        g = g_next
        o = o_next
        c_before = c_before_next
        dy_t = dy_next

    tl.store(dh0 + state, dh, mask=is_state)
    tl.store(dc0 + state, dc, mask=is_state)
