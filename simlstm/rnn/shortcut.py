"""The shortest way through a prepacked layer, for single sequences: there the Python on the way is half of the time."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from simlstm.rnn.backends.native import prepacked
from simlstm.rnn.plain_gradients import are_operations_recorded, needs_plain_operations
from simlstm.rnn.precision import product_dtype


def infer(module: nn.RNNBase, input: PackedSequence) -> tuple[PackedSequence, tuple[Tensor, Tensor]] | None:
    """Run a prepacked LSTM over packed input from zero states.

    Args:
        module: without noise in its recurrence.
        input: data [N, I].

    Returns:
        What the module's ``forward`` returns, bit for bit; None when it has to go the ordinary way, which also finds
        the words for what is wrong with the input.

    Raises:
        RuntimeError: the weights were changed while they were prepacked.
    """
    layers = prepacked.layers_of(module)
    if layers is None or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return None
    if needs_plain_operations() or are_operations_recorded():
        return None
    x, batch_sizes, _, unsorted_indices = input
    if product_dtype(x) != x.dtype or (module.training and module.dropout > 0):
        return None
    final = []
    for layer in layers:
        result = layer.infer(x, batch_sizes)
        if result is None:
            return None
        x, states = result
        final.append(states)
    states = final[0] if len(final) == 1 else torch.cat(final, 1)  # [2, L * D, B, H]
    if unsorted_indices is not None:
        states = states.index_select(2, unsorted_indices)
    hT, cT = states.unbind()
    return input._replace(data=x), (hT, cT)
