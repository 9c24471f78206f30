"""Tensors as the kernels see them: addresses of float32 numbers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from simlstm.rnn.backends.native.structures import DirectionPointers
from simlstm.rnn.weights import DirectionWeights


def empty(*size: int) -> Tensor:
    """Return uninitialised memory for float32 numbers on the CPU, whatever torch's defaults are at the moment."""
    return torch.empty(size, dtype=torch.float32, device="cpu")


def is_plain(tensor: Tensor, shape: tuple[int, ...]) -> bool:
    """Return whether a tensor is nothing but float32 numbers of this shape in the CPU's memory."""
    return (
        tensor.dtype is torch.float32
        and tensor.shape == shape
        and tensor.device.type == "cpu"
        and type(tensor) in (Tensor, nn.Parameter)
        and tensor.layout is torch.strided
        and not tensor.is_neg()
    )


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
