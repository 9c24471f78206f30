"""Weights that were packed once, because the caller promised that they stay as they are."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from simlstm.rnn.backends.native.library import Kernels, kernels
from simlstm.rnn.backends.native.structures import PackCall
from simlstm.rnn.backends.native.weights import point_to_weights
from simlstm.rnn.weights import DirectionWeights


@dataclass(frozen=True)
class PackedWeights:
    """The weights of one layer, packed.

    Attributes:
        memory: as the kernels of one instruction set read them.
        kernels: these kernels.
        tensors: what was packed; held, so that no other tensor takes their place.
        versions: autograd's counts of their changes in place, at the time.
    """

    memory: Tensor
    kernels: Kernels
    tensors: list[Tensor]
    versions: list[int]


_by_first_weight: dict[int, PackedWeights] = {}


def find(weights: Sequence[DirectionWeights]) -> PackedWeights | None:
    """Return a layer's packed weights, None when nobody packed them.

    Raises:
        RuntimeError: the weights were changed since.
    """
    if not _by_first_weight:
        return None
    packed = _by_first_weight.get(id(weights[0].w_hh))
    if packed is not None and packed.versions != [tensor._version for tensor in packed.tensors]:
        raise RuntimeError("a layer's weights were changed in place while they were prepacked; leave prepacked() first")
    return packed


@contextmanager
def keep(layers: Sequence[Sequence[DirectionWeights]]) -> Iterator[None]:
    """Pack the weights of some layers and use them for the calls inside; without native kernels, do nothing.

    Args:
        layers: for each layer its directions; float32 on the CPU, without projection. Others are passed over.
    """
    chosen = kernels()
    before = dict(_by_first_weight)
    try:
        for weights in layers if chosen is not None else ():
            tensors = [tensor for direction in weights for tensor in direction if tensor is not None]
            is_served = all(tensor.dtype is torch.float32 and tensor.device.type == "cpu" for tensor in tensors)
            if chosen is not None and is_served and weights[0].w_hr is None:
                _by_first_weight[id(weights[0].w_hh)] = _pack(chosen, weights, tensors)
        yield
    finally:
        for weights in layers:
            key = id(weights[0].w_hh)
            _by_first_weight.pop(key, None)
            if key in before:
                _by_first_weight[key] = before[key]


def _pack(chosen: Kernels, weights: Sequence[DirectionWeights], tensors: list[Tensor]) -> PackedWeights:
    hidden_size, input_size = weights[0].w_hh.shape[1], weights[0].w_ih.shape[1]
    padded = -(-hidden_size // chosen.lanes) * chosen.lanes
    memory = torch.empty(len(weights), (input_size + hidden_size + 1) * 4 * padded)
    call = PackCall(
        threads=torch.get_num_threads(),
        directions=len(weights),
        input_size=input_size,
        hidden_size=hidden_size,
        packed=memory.data_ptr(),
    )
    alive = point_to_weights(call.weights, weights)
    chosen.run("simlstm_pack", call)
    del alive
    return PackedWeights(memory, chosen, tensors, [tensor._version for tensor in tensors])
