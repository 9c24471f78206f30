"""Where the weights of a layer lie in memory."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from simlstm.rnn.backends.native.structures import DirectionPointers
from simlstm.rnn.weights import DirectionWeights


def point_to_weights(pointers: Any, weights: Sequence[DirectionWeights]) -> list[Tensor]:
    """Fill in the weights' addresses.

    Args:
        pointers: a ctypes array of ``DirectionPointers``.
        weights: one entry for each direction, float32 on the CPU.

    Returns:
        list[Tensor]: what must live until the call has ended: contiguous copies among it.
    """
    alive: list[Tensor] = []
    for direction, w in enumerate(weights):
        addresses = []
        for tensor in w[:4]:
            if tensor is not None:
                alive.append(tensor.contiguous())
            addresses.append(None if tensor is None else alive[-1].data_ptr())
        pointers[direction] = DirectionPointers(*addresses)
    return alive
