"""The backward pass of layers whose recurrent weights are spread over several multiprocessors; see ``forward_split``.

What the programs of a group hand on is the gradient of all gates, which the caller wants anyway.
"""

import triton
import triton.language as tl

from simlstm.rnn.backends.cuda.kernels.steps import (
    NEVER,
    announce,
    load_gates,
    load_weights,
    product,
    retreat,
    store_gates,
    wait_for,
)


@triton.jit(do_not_specialize=["sequences", "groups", "first_step", "last_step"])
def backward_split(
    offsets,
    places,
    lengths,
    w_forward,
    w_reverse,
    kept_gates,
    kept_c,
    dy,
    dhT,
    cells,
    d_gates,
    dh0,
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
    """Walk steps first_step to last_step back for a group's sequences and a slice's units.

    README.md of the package says what each argument is. There is one step more than the longest sequence has: in the
    step behind its last one, a sequence's dh0 is made. ``cells`` [D, B, H] holds dcT, and becomes dc0 in place.
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
        w_i, w_f, w_g, w_o = load_weights(w_hh, k[:, None], unit[None, :], HIDDEN)  # [k, unit]
        if RESIDENT_REST > 0:
            k_rest = RESIDENT + tl.arange(0, RESIDENT_REST)
            w_i_rest, w_f_rest, w_g_rest, w_o_rest = load_weights(w_hh, k_rest[:, None], unit[None, :], HIDDEN)

    counter = announced + group * DIRECTIONS + direction
    blocks = tl.cdiv(sequences, BLOCK_SEQUENCES)
    steps = tl.load(lengths + group * BLOCK_SEQUENCES)  # the longest comes first
    for step in tl.range(first_step, tl.minimum(last_step, steps + 1), num_stages=1):
        t = steps - 1 - step
        t_came_from = t + 1
        if direction == 1:
            t = step
            t_came_from = t - 1
        start = tl.load(offsets + t, mask=(t >= 0) & (t < steps), other=0)
        came_from = tl.load(offsets + t_came_from, mask=(t_came_from >= 0) & (t_came_from < steps), other=0)
        for block in tl.range(group, blocks, groups, num_stages=1):
            first = block * BLOCK_SEQUENCES
            if t <= tl.load(lengths + first):
                sequence = first + tl.arange(0, BLOCK_SEQUENCES)
                exists = sequence < sequences
                length = tl.load(lengths + sequence, mask=exists, other=0)
                runs = tl.where(t >= 0, t, NEVER) < length
                came = tl.where(t_came_from >= 0, t_came_from, NEVER) < length
                end = length * 0 - 1
                if direction == 1:
                    end = length
                ends = exists & (end == t)
                place = sequence
                if places is not None:
                    place = tl.load(places + sequence, mask=exists, other=0)
                row = (start + place).to(tl.int64)
                is_row = runs[:, None] & is_unit[None, :]
                place_of_kept = (row * DIRECTIONS + direction)[:, None] * (4 * HIDDEN) + unit[None, :]
                place_of_h = (row * DIRECTIONS + direction)[:, None] * HIDDEN + unit[None, :]
                state = (direction * sequences + sequence).to(tl.int64)[:, None] * HIDDEN + unit[None, :]
                i, f, g, o = load_gates(kept_gates, place_of_kept, is_row, "", HIDDEN)
                c_before = tl.load(kept_c + place_of_h, mask=is_row, other=0.0)
                dc = tl.load(cells + state, mask=is_row, other=0.0)
                dh = tl.zeros([BLOCK_SEQUENCES, BLOCK_UNITS], tl.float32)
                if dhT is not None:
                    begins = (runs | ends) & (came == 0)
                    dh = tl.load(dhT + state, mask=begins[:, None] & is_unit[None, :], other=0.0).to(tl.float32)
                if dy is not None:  # none reaches a step behind the last one, where dh0 is made
                    dh += tl.load(dy + place_of_h, mask=is_row, other=0.0).to(tl.float32)

                # All of the above is this program's own; the gradients of the step that we come from are not.
                if block == group:
                    wait_for(counter, step * slices)
                where = ((came_from + place).to(tl.int64) * DIRECTIONS + direction)[:, None] * (4 * HIDDEN)
                if BLOCK_K == 0:
                    # All on their way before the first one is multiplied: the way is long.
                    is_there = came[:, None] & (k < HIDDEN)[None, :]
                    from_i, from_f, from_g, from_o = load_gates(d_gates, where + k[None, :], is_there, ".cg", HIDDEN)
                    if RESIDENT_REST > 0:
                        is_there = came[:, None] & (k_rest < HIDDEN)[None, :]
                        from_i_rest, from_f_rest, from_g_rest, from_o_rest = load_gates(
                            d_gates, where + k_rest[None, :], is_there, ".cg", HIDDEN
                        )
                    dh = product(from_i, w_i, dh, PRECISION)
                    dh = product(from_f, w_f, dh, PRECISION)
                    dh = product(from_g, w_g, dh, PRECISION)
                    dh = product(from_o, w_o, dh, PRECISION)
                    if RESIDENT_REST > 0:
                        dh = product(from_i_rest, w_i_rest, dh, PRECISION)
                        dh = product(from_f_rest, w_f_rest, dh, PRECISION)
                        dh = product(from_g_rest, w_g_rest, dh, PRECISION)
                        dh = product(from_o_rest, w_o_rest, dh, PRECISION)
                else:
                    for start_of_k in tl.range(0, HIDDEN, BLOCK_K, num_stages=2):
                        k_now = start_of_k + tl.arange(0, BLOCK_K)
                        is_there = came[:, None] & (k_now < HIDDEN)[None, :]
                        from_i, from_f, from_g, from_o = load_gates(
                            d_gates, where + k_now[None, :], is_there, ".cg", HIDDEN
                        )
                        w_i, w_f, w_g, w_o = load_weights(w_hh, k_now[:, None], unit[None, :], HIDDEN)
                        dh = product(from_i, w_i, dh, PRECISION)
                        dh = product(from_f, w_f, dh, PRECISION)
                        dh = product(from_g, w_g, dh, PRECISION)
                        dh = product(from_o, w_o, dh, PRECISION)
                tl.store(dh0 + state, dh, mask=ends[:, None] & is_unit[None, :])
                d_i, d_f, d_g, d_o, dc = retreat(
                    i.to(tl.float32),
                    f.to(tl.float32),
                    g.to(tl.float32),
                    o.to(tl.float32),
                    c_before,
                    dh,
                    dc,
                    APPROXIMATE,
                )
                d_i = d_i.to(PRODUCTS)
                d_f = d_f.to(PRODUCTS)
                d_g = d_g.to(PRODUCTS)
                d_o = d_o.to(PRODUCTS)
                store_gates(d_gates, place_of_kept, is_row, d_i, d_f, d_g, d_o, HIDDEN)
                tl.store(cells + state, dc, mask=is_row)
        announce(counter)
