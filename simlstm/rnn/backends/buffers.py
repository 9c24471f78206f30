"""The buffers that the loops over time read and write: how they are laid out, and how results are taken from them.

The rows of the reverse direction stand in the order in which it reads them (:attr:`PackedWalk.reversal`), so that
both directions have the same batch sizes. README.md draws both orders.
"""

import torch
from torch import Tensor

from simlstm.rnn.walk import PackedWalk


def in_reading_order(rows: Tensor, walk: PackedWalk, direction: int) -> Tensor:
    """Return packed rows [N, *] in the order in which a direction reads them, or from that order back.

    The order of the reverse direction is its own inverse; that of the forward direction, 0, is the given one.
    """
    return rows if direction == 0 else rows.index_select(0, walk.reversal)


def state_buffer(initial: Tensor, walk: PackedWalk, dtype: torch.dtype) -> Tensor:
    """Return a state buffer [D, B + N, *] in the given dtype: the initial states [D, B, *], then rows to be written."""
    directions, sequences, width = initial.shape
    states = initial.new_empty(directions, sequences + walk.rows, width, dtype=dtype)
    states[:, :sequences] = initial
    return states


def to_output(h: Tensor, walk: PackedWalk) -> Tensor:
    """Turn h [D, N, P], each direction in its own order, into y [N, D * P]: a tensor of its own."""
    if h.shape[0] == 1:
        return h[0].clone()
    return torch.cat([in_reading_order(h_d, walk, direction) for direction, h_d in enumerate(h)], dim=1)


def output_gradient(
    h_states: Tensor, dtype: torch.dtype, walk: PackedWalk, dy: Tensor | None, dhT: Tensor | None
) -> Tensor:
    """Lay out what reaches every h from outside the recurrence as a state buffer.

    Args:
        h_states: [D, B + N, P], the states themselves.
        dtype: of the result.
        walk: the layout.
        dy: [N, D * P], what reaches the output; None when nothing does.
        dhT: [D, B, P], what reaches the final states; None when nothing does.

    Returns:
        Tensor: [D, B + N, P], zeros in the first B rows.
    """
    dh_states = torch.empty_like(h_states, dtype=dtype)
    dh_states[:, : walk.sequences] = 0
    dh = dh_states[:, walk.sequences :]
    if dy is None:
        dh.zero_()
    else:
        for direction, dy_d in enumerate(dy.chunk(dh.shape[0], 1)):
            dh[direction] = in_reading_order(dy_d, walk, direction)
    if dhT is not None:
        walk.add_to_last_(dh, dhT.to(dh.dtype))
    return dh_states
