"""The forward pass of layers whose recurrent weights are spread over several multiprocessors.

A program owns some units of one direction, for the sequences of its group, and needs the h of all units at every step:
the programs of a group hand it on through memory. Weights of a program's units stay on the chip for all steps
(BLOCK_K 0), or are read anew at every step, BLOCK_K rows of h at a time.

Programs that wait for one another must all run at once, so one launch of all steps is only for grids that fit onto the
chip. Otherwise each step is a launch of its own, and nobody ever waits: that is also how the interpreter runs them.
"""

import triton
import triton.language as tl

from simlstm.rnn.backends.cuda.kernels.steps import (
    advance,
    announce,
    load_biases,
    load_gates,
    load_weights,
    product,
    store_gates,
    wait_for,
)


@triton.jit(do_not_specialize=["sequences", "groups", "first_step", "last_step"])
def forward_split(
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
    exchange,
    cells,
    y,
    hT,
    kept_gates,
    kept_h,
    kept_c,
    maximum,
    total,
    announced,
    sequences,
    groups,
    first_step,
    last_step,
    HIDDEN: tl.constexpr,
    DIRECTIONS: tl.constexpr,
    PRODUCTS: tl.constexpr,
    PRECISION: tl.constexpr,
    APPROXIMATE: tl.constexpr,
    BLOCK_SEQUENCES: tl.constexpr,
    BLOCK_UNITS: tl.constexpr,
    RESIDENT: tl.constexpr,
    RESIDENT_REST: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Run steps first_step to last_step for a group's sequences and a slice's units.

    README.md of the package says what each argument is. ``exchange`` [2, D, B, H] holds h before an even step and
    before an odd one; ``cells`` [D, B, H] becomes cT in place; ``maximum`` and ``total`` hold -inf and 0 at first.
    """
    slices = tl.cdiv(HIDDEN, BLOCK_UNITS)
    unit = tl.program_id(0) % slices * BLOCK_UNITS + tl.arange(0, BLOCK_UNITS)
    direction = tl.program_id(0) // slices % DIRECTIONS
    group = tl.program_id(0) // slices // DIRECTIONS
    is_unit = unit < HIDDEN

    w_hh = w_forward
    if direction == 1:
        w_hh = w_reverse
    if BLOCK_K == 0:
        k = tl.arange(0, RESIDENT)
        w_i, w_f, w_g, w_o = load_weights(w_hh, unit[None, :], k[:, None], HIDDEN)  # [k, unit]
        if RESIDENT_REST > 0:
            k_rest = RESIDENT + tl.arange(0, RESIDENT_REST)
            w_i_rest, w_f_rest, w_g_rest, w_o_rest = load_weights(w_hh, unit[None, :], k_rest[:, None], HIDDEN)
    b_ih = b_ih_forward
    b_hh = b_hh_forward
    if b_ih_forward is not None:  # noqa: SIM102 - decided when it is compiled, and the next when it runs
        if direction == 1:
            b_ih = b_ih_reverse
            b_hh = b_hh_reverse
    b_i, b_f, b_g, b_o = load_biases(b_ih, b_hh, unit, HIDDEN)

    counter = announced + group * DIRECTIONS + direction
    blocks = tl.cdiv(sequences, BLOCK_SEQUENCES)
    steps = tl.load(lengths + group * BLOCK_SEQUENCES)  # the longest comes first
    half = DIRECTIONS * sequences.to(tl.int64) * HIDDEN
    for step in tl.range(first_step, tl.minimum(last_step, steps), num_stages=1):
        t = step
        if direction == 1:
            t = steps - 1 - step
        start = tl.load(offsets + t)
        before = exchange + (step % 2) * half
        after = exchange + (1 - step % 2) * half
        for block in tl.range(group, blocks, groups, num_stages=1):
            first = block * BLOCK_SEQUENCES
            if t < tl.load(lengths + first):
                sequence = first + tl.arange(0, BLOCK_SEQUENCES)
                exists = sequence < sequences
                length = tl.load(lengths + sequence, mask=exists, other=0)
                runs = t < length
                place = sequence
                if places is not None:
                    place = tl.load(places + sequence, mask=exists, other=0)
                row = (start + place).to(tl.int64)
                is_row = runs[:, None] & is_unit[None, :]
                source = row
                if ids is not None:
                    source = tl.load(ids + row, mask=runs, other=0).to(tl.int64)
                place_of_gates = (source * DIRECTIONS + direction)[:, None] * (4 * HIDDEN) + unit[None, :]
                a_i, a_f, a_g, a_o = load_gates(gates, place_of_gates, is_row, "", HIDDEN)
                state = (direction * sequences + sequence).to(tl.int64)[:, None] * HIDDEN
                c = tl.load(cells + state + unit[None, :], mask=is_row, other=0.0)
                pooled = (sequence.to(tl.int64) * DIRECTIONS + direction)[:, None] * HIDDEN + unit[None, :]
                if maximum is not None:
                    most = tl.load(maximum + pooled, mask=is_row, other=0.0)
                if total is not None:
                    summed = tl.load(total + pooled, mask=is_row, other=0.0)
                # Blocks that run are the first ones: this is the last one when the group's next one does not.
                next_block = first + groups * BLOCK_SEQUENCES
                longest_of_next = tl.load(lengths + next_block, mask=next_block < sequences, other=0)

                # All of the above is this program's own; h is not.
                if block == group:
                    wait_for(counter, step * slices)
                a_i = a_i.to(tl.float32) + b_i[None, :]
                a_f = a_f.to(tl.float32) + b_f[None, :]
                a_g = a_g.to(tl.float32) + b_g[None, :]
                a_o = a_o.to(tl.float32) + b_o[None, :]
                if kept_gates is not None:
                    own = tl.load(before + state + unit[None, :], mask=is_row, other=0.0, cache_modifier=".cg")
                if BLOCK_K == 0:
                    is_h = runs[:, None] & (k < HIDDEN)[None, :]
                    h = tl.load(before + state + k[None, :], mask=is_h, other=0.0, cache_modifier=".cg")
                    if RESIDENT_REST > 0:
                        is_h = runs[:, None] & (k_rest < HIDDEN)[None, :]
                        h_rest = tl.load(before + state + k_rest[None, :], mask=is_h, other=0.0, cache_modifier=".cg")
                    a_i = product(h, w_i, a_i, PRECISION)
                    a_f = product(h, w_f, a_f, PRECISION)
                    a_g = product(h, w_g, a_g, PRECISION)
                    a_o = product(h, w_o, a_o, PRECISION)
                    if RESIDENT_REST > 0:
                        a_i = product(h_rest, w_i_rest, a_i, PRECISION)
                        a_f = product(h_rest, w_f_rest, a_f, PRECISION)
                        a_g = product(h_rest, w_g_rest, a_g, PRECISION)
                        a_o = product(h_rest, w_o_rest, a_o, PRECISION)
                else:
                    # Never a single pass: Triton 3.9 would unroll it, and stop the process over float32 (an assertion).
                    for start_of_k in tl.range(0, max(HIDDEN, BLOCK_K + 1), BLOCK_K, num_stages=2):
                        k_now = start_of_k + tl.arange(0, BLOCK_K)
                        h = tl.load(
                            before + state + k_now[None, :],
                            mask=runs[:, None] & (k_now < HIDDEN)[None, :],
                            other=0.0,
                            cache_modifier=".cg",
                        )
                        w_i, w_f, w_g, w_o = load_weights(w_hh, unit[None, :], k_now[:, None], HIDDEN)
                        a_i = product(h, w_i, a_i, PRECISION)
                        a_f = product(h, w_f, a_f, PRECISION)
                        a_g = product(h, w_g, a_g, PRECISION)
                        a_o = product(h, w_o, a_o, PRECISION)
                c_before = c
                i, f, g, o, c, h_new = advance(a_i, a_f, a_g, a_o, c, APPROXIMATE)
                tl.store(after + state + unit[None, :], h_new.to(PRODUCTS), mask=is_row)
                tl.store(cells + state + unit[None, :], c, mask=is_row)
                if maximum is not None:
                    tl.store(maximum + pooled, tl.maximum(most, h_new), mask=is_row)
                if total is not None:
                    tl.store(total + pooled, summed + h_new, mask=is_row)
                # The others need nothing more of this step: what follows is written while they go on.
                if t >= longest_of_next:
                    announce(counter)

                place_of_h = (row * DIRECTIONS + direction)[:, None] * HIDDEN + unit[None, :]
                if y is not None:
                    tl.store(y + place_of_h, h_new, mask=is_row)
                if hT is not None:
                    last = length - 1
                    if direction == 1:
                        last = length * 0
                    tl.store(hT + state + unit[None, :], h_new, mask=(last == t)[:, None] & is_row)
                if kept_gates is not None:
                    tl.store(kept_h + place_of_h, own, mask=is_row)
                    tl.store(kept_c + place_of_h, c_before, mask=is_row)
                    place_of_kept = (row * DIRECTIONS + direction)[:, None] * (4 * HIDDEN) + unit[None, :]
                    store_gates(kept_gates, place_of_kept, is_row, i, f, g, o, HIDDEN)
