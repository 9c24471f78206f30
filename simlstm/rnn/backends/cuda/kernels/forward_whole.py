"""The forward pass of layers whose recurrent weights fit into one multiprocessor.

A program owns some sequences of one direction, with all their units: h and c never leave its registers, weights stay on
the chip for all steps, and no program waits for another.
"""

import triton
import triton.language as tl

from simlstm.rnn.backends.cuda.kernels.steps import (
    NEVER,
    advance,
    load_biases,
    load_gates,
    load_weights,
    product,
    store_gates,
)


@triton.jit(do_not_specialize=["sequences"])
def forward_whole(
    gates,
    ids,
    offsets,
    places,
    lengths,
    w_forward,
    w_reverse,
    b_ih_forward,
    b_hh_forward,
    b_ih_reverse,
    b_hh_reverse,
    h0,
    c0,
    y,
    hT,
    cT,
    kept_gates,
    kept_h,
    kept_c,
    maximum,
    total,
    sequences,
    HIDDEN: tl.constexpr,
    DIRECTIONS: tl.constexpr,
    PRODUCTS: tl.constexpr,
    PRECISION: tl.constexpr,
    APPROXIMATE: tl.constexpr,
    BLOCK_SEQUENCES: tl.constexpr,
    BLOCK_HIDDEN: tl.constexpr,
):
    """Run all steps of BLOCK_SEQUENCES sequences in one direction; README.md of the package says what each argument is.

    What is None is not there: ids, places, biases and initial states (zeros); results that nobody wants.
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
    w_i, w_f, w_g, w_o = load_weights(w_hh, unit[None, :], unit[:, None], HIDDEN)  # [k, unit]
    b_ih = b_ih_forward
    b_hh = b_hh_forward
    if b_ih_forward is not None:  # noqa: SIM102 - decided when it is compiled, and the next when it runs
        if direction == 1:
            b_ih = b_ih_reverse
            b_hh = b_hh_reverse
    b_i, b_f, b_g, b_o = load_biases(b_ih, b_hh, unit, HIDDEN)

    state = (direction * sequences + sequence).to(tl.int64)[:, None] * HIDDEN + unit[None, :]
    is_state = exists[:, None] & is_unit[None, :]
    h = tl.zeros([BLOCK_SEQUENCES, BLOCK_HIDDEN], tl.float32)
    c = h
    if h0 is not None:
        h = tl.load(h0 + state, mask=is_state, other=0.0).to(tl.float32)
        c = tl.load(c0 + state, mask=is_state, other=0.0).to(tl.float32)
    most = tl.full([BLOCK_SEQUENCES, BLOCK_HIDDEN], float("-inf"), tl.float32)
    summed = tl.zeros([BLOCK_SEQUENCES, BLOCK_HIDDEN], tl.float32)

    length = tl.load(lengths + sequence, mask=exists, other=0)
    steps = tl.load(lengths + first)  # the longest comes first
    place = sequence
    if places is not None:
        place = tl.load(places + sequence, mask=exists, other=0)
    t = steps * 0
    stride = 1
    if direction == 1:
        t = steps - 1
        stride = -1

    # What the input adds to the gates is fetched one step ahead: the product of this step hides the wait.
    row = (tl.load(offsets + t, mask=steps > 0, other=0) + place).to(tl.int64)
    runs = t < length
    is_row = runs[:, None] & is_unit[None, :]
    source = row
    if ids is not None:
        source = tl.load(ids + row, mask=runs, other=0).to(tl.int64)
    place_of_gates = (source * DIRECTIONS + direction)[:, None] * (4 * HIDDEN) + unit[None, :]
    a_i, a_f, a_g, a_o = load_gates(gates, place_of_gates, is_row, "", HIDDEN)
    for step in range(steps):
        # Behind the last step, there is one in which no sequence runs.
        t_next = tl.where(step + 1 < steps, t + stride, NEVER)
        row_next = (tl.load(offsets + t_next, mask=t_next < steps, other=0) + place).to(tl.int64)
        runs_next = t_next < length
        is_row_next = runs_next[:, None] & is_unit[None, :]
        source = row_next
        if ids is not None:
            source = tl.load(ids + row_next, mask=runs_next, other=0).to(tl.int64)
        place_of_gates = (source * DIRECTIONS + direction)[:, None] * (4 * HIDDEN) + unit[None, :]
        a_i_next, a_f_next, a_g_next, a_o_next = load_gates(gates, place_of_gates, is_row_next, "", HIDDEN)

        operand = h.to(PRODUCTS)
        place_of_h = (row * DIRECTIONS + direction)[:, None] * HIDDEN + unit[None, :]
        if kept_gates is not None:
            tl.store(kept_h + place_of_h, operand, mask=is_row)
            tl.store(kept_c + place_of_h, c, mask=is_row)
        i, f, g, o, c_new, h_new = advance(
            product(operand, w_i, a_i.to(tl.float32) + b_i[None, :], PRECISION),
            product(operand, w_f, a_f.to(tl.float32) + b_f[None, :], PRECISION),
            product(operand, w_g, a_g.to(tl.float32) + b_g[None, :], PRECISION),
            product(operand, w_o, a_o.to(tl.float32) + b_o[None, :], PRECISION),
            c,
            APPROXIMATE,
        )
        h = tl.where(runs[:, None], h_new, h)
        c = tl.where(runs[:, None], c_new, c)
        if y is not None:
            tl.store(y + place_of_h, h, mask=is_row)
        if kept_gates is not None:
            place_of_kept = (row * DIRECTIONS + direction)[:, None] * (4 * HIDDEN) + unit[None, :]
            store_gates(kept_gates, place_of_kept, is_row, i, f, g, o, HIDDEN)
        if maximum is not None:
            most = tl.where(runs[:, None], tl.maximum(most, h), most)
        if total is not None:
            summed = tl.where(runs[:, None], summed + h, summed)

        t = t_next
        row = row_next
        runs = runs_next
        is_row = is_row_next
        a_i = a_i_next
        a_f = a_f_next
        a_g = a_g_next
        a_o = a_o_next

    if hT is not None:
        tl.store(hT + state, h, mask=is_state)
    if cT is not None:
        tl.store(cT + state, c, mask=is_state)
    pooled = (sequence.to(tl.int64) * DIRECTIONS + direction)[:, None] * HIDDEN + unit[None, :]
    if maximum is not None:
        tl.store(maximum + pooled, most, mask=is_state)
    if total is not None:
        tl.store(total + pooled, summed, mask=is_state)
