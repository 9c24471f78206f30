"""Which backend runs which call."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from simlstm.rnn.backends import differentiable, gaps, stock, torch_ops
from simlstm.rnn.backends.cuda import presence
from simlstm.rnn.backends.native import lstm as native
from simlstm.rnn.backends.one_state import differentiable as differentiable_one_state
from simlstm.rnn.backends.one_state import layer as one_state
from simlstm.rnn.backends.one_state.recurrence import Recurrence
from simlstm.rnn.device_walk import DeviceWalk
from simlstm.rnn.plain_gradients import needs_plain_operations
from simlstm.rnn.precision import product_dtype
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights


def lstm_layer(
    x: Tensor, walk: PackedWalk | DeviceWalk, h0: Tensor, c0: Tensor, weights: Sequence[DirectionWeights]
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer, one or two directions, over a batch.

    Args:
        x: [N, I], packed rows; rows with gaps, which hold finite numbers, where the walk has them.
        walk: the layout of the rows.
        h0: [D, B, P], initial states of D directions, sequences in the walk's order.
        c0: [D, B, H].
        weights: D entries, forward direction first.

    Returns:
        tuple[Tensor, Tensor, Tensor]: y [N, D * P] and hT [D, B, P] in h0's dtype, cT [D, B, H] in c0's; zeros in the
        gaps of y.
    """
    if needs_plain_operations():
        return _on_packed_rows(differentiable.lstm_layer, x, walk, h0, c0, weights)
    products = product_dtype(x)
    if presence.serves(x):
        # Both need triton.
        from simlstm.rnn.backends.cuda import lstm as cuda
        from simlstm.rnn.backends.cuda import rival

        if cuda.can_run(x, h0, c0, weights, products):
            if isinstance(walk, PackedWalk) and rival.is_faster(x, h0, c0, weights, products):
                return stock.lstm_layer(x, walk, h0, c0, weights, products)
            return cuda.lstm_layer(x, walk, h0, c0, weights, products)
    return _on_packed_rows(_lstm_layer, x, walk, h0, c0, weights, products)


def _lstm_layer(
    x: Tensor, walk: PackedWalk, h0: Tensor, c0: Tensor, weights: Sequence[DirectionWeights], products: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    if products == x.dtype and native.can_run(x, walk, h0, c0, weights):
        return native.lstm_layer(x, walk, h0, c0, weights)
    return torch_ops.lstm_layer(x, walk, h0, c0, weights, products)


def _on_packed_rows(
    run: gaps.PackedLayer,
    x: Tensor,
    walk: PackedWalk | DeviceWalk,
    h0: Tensor,
    c0: Tensor,
    weights: Sequence[DirectionWeights],
    *further: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    if isinstance(walk, PackedWalk):
        return run(x, walk, h0, c0, weights, *further)
    return gaps.lstm_layer(run, x, walk, h0, c0, weights, *further)


def one_state_layer(
    recurrence: Recurrence, x: Tensor, walk: PackedWalk, h0: Tensor, weights: Sequence[DirectionWeights]
) -> tuple[Tensor, Tensor]:
    """Run one layer whose steps hand on h alone, one or two directions, over a packed batch.

    Args:
        recurrence: of GRU or of RNN.
        x: [N, I], packed rows.
        walk: the layout of the rows.
        h0: [D, B, H], initial states of D directions, sequences in packed order.
        weights: D entries, forward direction first.

    Returns:
        tuple[Tensor, Tensor]: y [N, D * H] and hT [D, B, H], in h0's dtype.
    """
    if needs_plain_operations():
        return differentiable_one_state.one_state_layer(recurrence, x, walk, h0, weights)
    return one_state.one_state_layer(recurrence, x, walk, h0, weights, product_dtype(x))
