"""Weights that were packed once, because the caller promised that they stay as they are."""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from simlstm.rnn.backends.native.library import Kernels, kernels
from simlstm.rnn.backends.native.structures import ForwardCall, Layout, PackCall
from simlstm.rnn.backends.native.weights import point_to_weights
from simlstm.rnn.weights import DirectionWeights

T = TypeVar("T")


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
    directions: int
    input_size: int
    hidden_size: int

    def check_unchanged(self) -> None:
        """Raise RuntimeError when the weights were changed since they were packed, as far as autograd can tell."""
        if self.versions != [tensor._version for tensor in self.tensors]:
            raise RuntimeError(
                "a layer's weights were changed in place while they were prepacked; leave prepacked() first"
            )

    def infer(self, x: Tensor, batch_sizes: Tensor) -> tuple[Tensor, Tensor] | None:
        """Run the layer from zero states, without gradients, in as few steps as Python can take.

        Args:
            x: packed rows of any kind.
            batch_sizes: int64 [T] on the CPU.

        Returns:
            y [N, D * H], and hT and cT in one tensor [2, D, B, H]; None when the kernels do not serve this input.
        """
        if (
            x.dtype is not torch.float32
            or x.dim() != 2
            or x.shape[1] != self.input_size
            or x.stride(1) != 1
            or x.device.type != "cpu"
            or batch_sizes.dtype is not torch.int64
            or not batch_sizes.is_contiguous()
        ):
            return None
        rows, steps, sizes = x.shape[0], batch_sizes.shape[0], batch_sizes.data_ptr()
        if not self.kernels.functions.simlstm_describes(sizes, steps, rows):
            return None
        sequences = int(batch_sizes[0])
        y = torch.empty(rows, self.directions * self.hidden_size)
        states = torch.empty(2, self.directions, sequences, self.hidden_size)
        final = states.data_ptr()
        call = ForwardCall(
            layout=Layout(
                torch.get_num_threads(),
                self.directions,
                steps,
                rows,
                sequences,
                self.input_size,
                self.hidden_size,
                (ctypes.c_int64 * steps).from_address(sizes),
            ),
            packed=self.memory.data_ptr(),
            x=x.data_ptr(),
            x_stride=x.stride(0),
            y=y.data_ptr(),
            hT=final,
            cT=final + 2 * states.numel(),  # half of the elements, four bytes each
        )
        self.kernels.run("simlstm_forward", call)
        return y, states


_by_first_weight: dict[int, PackedWeights] = {}
_by_module: dict[int, list[PackedWeights]] = {}


def find(weights: Sequence[DirectionWeights]) -> PackedWeights | None:
    """Return a layer's packed weights, None when nobody packed them.

    Raises:
        RuntimeError: the weights were changed since.
    """
    if not _by_first_weight:
        return None
    packed = _by_first_weight.get(id(weights[0].w_hh))
    if packed is not None:
        packed.check_unchanged()
    return packed


def layers_of(module: nn.Module) -> list[PackedWeights] | None:
    """Return the packed weights of each layer of a module, None when not all of them are packed.

    Raises:
        RuntimeError: the weights were changed since.
    """
    if not _by_module:
        return None
    layers = _by_module.get(id(module))
    for packed in layers or ():
        packed.check_unchanged()
    return layers


@contextmanager
def keep(module: nn.Module, layers: Sequence[Sequence[DirectionWeights]]) -> Iterator[None]:
    """Pack the weights of a module's layers and use them for the calls inside; without native kernels, do nothing.

    Args:
        module: which has these layers.
        layers: for each layer its directions; float32 on the CPU, without projection. Others are passed over.
    """
    chosen = kernels()
    before, modules_before = dict(_by_first_weight), dict(_by_module)
    try:
        for weights in layers if chosen is not None else ():
            tensors = [tensor for direction in weights for tensor in direction if tensor is not None]
            is_served = all(tensor.dtype is torch.float32 and tensor.device.type == "cpu" for tensor in tensors)
            if chosen is not None and is_served and weights[0].w_hr is None:
                _by_first_weight[id(weights[0].w_hh)] = _pack(chosen, weights, tensors)
        packed = [_by_first_weight.get(id(weights[0].w_hh)) for weights in layers]
        if None not in packed:
            _by_module[id(module)] = [layer for layer in packed if layer is not None]
        yield
    finally:
        for weights in layers:
            _restore(_by_first_weight, before, id(weights[0].w_hh))
        _restore(_by_module, modules_before, id(module))


def _restore(registry: dict[int, T], before: dict[int, T], key: int) -> None:
    registry.pop(key, None)
    if key in before:
        registry[key] = before[key]


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
    versions = [tensor._version for tensor in tensors]
    return PackedWeights(memory, chosen, tensors, versions, len(weights), input_size, hidden_size)
