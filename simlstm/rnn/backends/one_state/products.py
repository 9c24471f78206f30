"""What a layer with one state computes for all rows at once: what the input brings, and the gradients of parameters."""

from collections.abc import Sequence

import torch
from torch import Tensor

from simlstm.rnn.backends.buffers import in_reading_order
from simlstm.rnn.backends.one_state.recurrence import Recurrence
from simlstm.rnn.precision import add_product_
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights


def fill_from_input(
    recurrence: Recurrence, walk: PackedWalk, gates: Tensor, x: Tensor, weights: Sequence[DirectionWeights]
) -> None:
    """Write ``w_ih x`` and the biases into a gate buffer.

    Args:
        recurrence: whose buffer it is.
        walk: the layout.
        gates: [D, N, W], written.
        x: [N, I], packed rows in the dtype of the weights.
        weights: D entries.
    """
    for direction, (w_ih, _, b_ih, b_hh, _) in enumerate(weights):
        gates[direction] = 0 if b_ih is None or b_hh is None else recurrence.bias(b_ih, b_hh)
        rows = in_reading_order(x, walk, direction)
        columns = recurrence.input_columns(gates[direction])
        for part, w_part in zip(columns, w_ih.split_with_sizes([part.shape[1] for part in columns]), strict=True):
            add_product_(part, rows, w_part.t())


def product_gradients(
    recurrence: Recurrence,
    walk: PackedWalk,
    x: Tensor,
    weights: Sequence[DirectionWeights],
    needed: Sequence[bool],
    h_states: Tensor,
    d_gates: Tensor,
    operands: Tensor,
) -> list[Tensor | None]:
    """Return the gradients of a layer's input and parameters.

    Args:
        recurrence: whose buffers these are.
        walk: the layout.
        x: [N, I], packed rows.
        weights: D entries, in the dtype of the products.
        needed: whether the gradient is wanted of x, h0 (not computed here), and five parameters for each direction.
        h_states: [D, B + N, H].
        d_gates: [D, N, W], the gradient of the gate buffer.
        operands: the same in the dtype of the products.

    Returns:
        list[Tensor | None]: the gradient of x [N, I], then of five parameters for each direction; None if not wanted.
    """
    need_x, _, *need_flat = needed
    dx: Tensor | None = None
    d_flat: list[Tensor | None] = []
    rows, h_before = x.to(operands.dtype), walk.before(h_states).to(operands.dtype)
    for direction, w in enumerate(weights):
        need_w_ih, need_w_hh, need_b_ih, need_b_hh, _ = need_flat[5 * direction : 5 * direction + 5]
        dw_ih = dw_hh = db_ih = db_hh = None
        own_order = operands[direction]
        if need_x or need_w_ih:
            columns = recurrence.input_columns(in_reading_order(own_order, walk, direction))
            heights = [part.shape[1] for part in columns]
            if need_x:
                for part, w_part in zip(columns, w.w_ih.split_with_sizes(heights), strict=True):
                    dx = part @ w_part if dx is None else dx.addmm_(part, w_part)
            if need_w_ih:
                dw_ih = torch.empty_like(w.w_ih, memory_format=torch.contiguous_format)
                for part, dw_part in zip(columns, dw_ih.split_with_sizes(heights), strict=True):
                    torch.mm(part.t(), rows, out=dw_part)
        if need_w_hh:
            dw_hh = recurrence.hidden_columns(own_order).t() @ h_before[direction]
        if need_b_ih or need_b_hh:
            db = d_gates[direction].sum(0)
            db_ih, db_hh = torch.cat(recurrence.input_columns(db)), recurrence.hidden_columns(db)
        d_flat += [dw_ih, dw_hh, db_ih if need_b_ih else None, db_hh if need_b_hh else None, None]
    return [dx, *d_flat]
