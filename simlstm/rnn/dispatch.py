"""Which backend runs which call."""

from collections.abc import Sequence

from torch import Tensor

from simlstm.rnn.backends import differentiable, torch_ops
from simlstm.rnn.backends.native import lstm as native
from simlstm.rnn.backends.one_state import differentiable as differentiable_one_state
from simlstm.rnn.backends.one_state import layer as one_state
from simlstm.rnn.backends.one_state.recurrence import Recurrence
from simlstm.rnn.plain_gradients import needs_plain_operations
from simlstm.rnn.precision import product_dtype
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights


def lstm_layer(
    x: Tensor, walk: PackedWalk, h0: Tensor, c0: Tensor, weights: Sequence[DirectionWeights]
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer, one or two directions, over a packed batch.

    Args:
        x: [N, I], packed rows.
        walk: the layout of the rows.
        h0: [D, B, P], initial states of D directions, sequences in packed order.
        c0: [D, B, H].
        weights: D entries, forward direction first.

    Returns:
        tuple[Tensor, Tensor, Tensor]: y [N, D * P] and hT [D, B, P] in h0's dtype, cT [D, B, H] in c0's.
    """
    if needs_plain_operations():
        return differentiable.lstm_layer(x, walk, h0, c0, weights)
    products = product_dtype(x)
    if products == x.dtype and native.can_run(x, walk, h0, c0, weights):
        return native.lstm_layer(x, walk, h0, c0, weights)
    return torch_ops.lstm_layer(x, walk, h0, c0, weights, products)


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
