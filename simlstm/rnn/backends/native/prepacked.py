"""Weights that were packed once, because the caller promised that they stay as they are."""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor, nn

from simlstm.rnn.backends.native.library import Kernels, kernels
from simlstm.rnn.backends.native.memory import empty, is_plain, point_to_weights
from simlstm.rnn.backends.native.structures import ForwardCall, Layout, PackCall
from simlstm.rnn.weights import DirectionWeights

Key = tuple[int, ...]


@dataclass
class PackedWeights:
    """The weights of one layer, packed.

    Attributes:
        memory: as the kernels of one instruction set read them.
        kernels: these kernels.
        tensors: what was packed; held, so that no other tensor takes their place in memory.
        versions: autograd's counts of their changes in place, at the time.
        directions: D.
        input_size: I.
        hidden_size: H.
        promises: how many contexts hold this.
    """

    memory: Tensor
    kernels: Kernels
    tensors: list[Tensor]
    versions: list[int]
    directions: int
    input_size: int
    hidden_size: int
    promises: int = 1

    def check_unchanged(self) -> None:
        """Raise RuntimeError when the weights were changed since they were packed, as far as autograd can tell."""
        if self.versions != [_version(tensor) for tensor in self.tensors]:
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
        if x.dim() != 2 or not is_plain(x, (x.shape[0], self.input_size)) or x.stride(1) != 1:
            return None
        if batch_sizes.dtype is not torch.int64 or not batch_sizes.is_contiguous() or self.kernels is not kernels():
            return None
        rows, steps, sizes = x.shape[0], batch_sizes.shape[0], batch_sizes.data_ptr()
        if not self.kernels.functions.simlstm_describes(sizes, steps, rows):
            return None
        sequences = int(batch_sizes[0])
        y = empty(rows, self.directions * self.hidden_size)
        states = empty(2, self.directions, sequences, self.hidden_size)
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


# What is packed now, by the identity of all weights of a layer: tied weights are told apart by the rest of their layer.
_packed: dict[Key, PackedWeights] = {}
_lock = Lock()


def find(weights: Sequence[DirectionWeights], input_size: int) -> PackedWeights | None:
    """Return a layer's packed weights, None when nobody packed them for the kernels in use.

    Raises:
        RuntimeError: the weights were changed since.
    """
    if not _packed:
        return None
    return _valid([tensor for direction in weights for tensor in direction if tensor is not None], input_size)


def layers_of(module: nn.RNNBase) -> list[PackedWeights] | None:
    """Return the packed weights of each layer of a module, None when not all of them are packed.

    Raises:
        RuntimeError: the weights were changed since.
    """
    if not _packed:
        return None
    parameters = module._parameters
    per_layer = 2 if module.bidirectional else 1
    names, layers = module._all_weights, []
    for first in range(0, len(names), per_layer):
        tensors = [parameters.get(name) for direction in names[first : first + per_layer] for name in direction]
        packed = _valid(tensors, None)
        if packed is None:
            return None
        layers.append(packed)
    return layers


def _valid(tensors: Sequence[Tensor | None], input_size: int | None) -> PackedWeights | None:
    packed = _packed.get(tuple(map(id, tensors)))
    if packed is None or (input_size is not None and packed.input_size != input_size):
        return None
    packed.check_unchanged()
    return packed if packed.kernels is kernels() else None


@contextmanager
def keep(layers: Sequence[Sequence[DirectionWeights]]) -> Iterator[None]:
    """Pack the weights of some layers and use them for the calls inside; without native kernels, do nothing.

    Args:
        layers: for each layer its directions; those that the kernels do not serve are passed over.
    """
    with ExitStack() as stack:
        chosen = kernels()
        for weights in layers:
            if chosen is not None and _is_served(weights):
                stack.enter_context(_held(chosen, weights))
        yield


@contextmanager
def _held(chosen: Kernels, weights: Sequence[DirectionWeights]) -> Iterator[None]:
    tensors = [tensor for direction in weights for tensor in direction if tensor is not None]
    key = tuple(map(id, tensors))
    with _lock:
        packed = _packed.get(key)
        if packed is not None:
            packed.check_unchanged()
            packed.promises += 1
        else:
            _packed[key] = packed = _pack(chosen, weights, tensors)
    try:
        yield
    finally:
        with _lock:
            packed.promises -= 1
            if packed.promises == 0:
                del _packed[key]


def _is_served(weights: Sequence[DirectionWeights]) -> bool:
    gates, input_size = weights[0].w_ih.shape
    shapes = ((gates, input_size), (gates, gates // 4), (gates,), (gates,))
    return weights[0].w_hr is None and all(
        tensor is None or is_plain(tensor, shape)
        for direction in weights
        for tensor, shape in zip(direction[:4], shapes, strict=True)
    )


def _version(tensor: Tensor) -> int:
    """Return autograd's count of changes; tensors made in inference mode have none."""
    return 0 if tensor.is_inference() else tensor._version


def _pack(chosen: Kernels, weights: Sequence[DirectionWeights], tensors: list[Tensor]) -> PackedWeights:
    hidden_size, input_size = weights[0].w_hh.shape[1], weights[0].w_ih.shape[1]
    padded = -(-hidden_size // chosen.lanes) * chosen.lanes
    memory = empty(len(weights), (input_size + hidden_size + 1) * 4 * padded)
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
    versions = [_version(tensor) for tensor in tensors]
    return PackedWeights(memory, chosen, tensors, versions, len(weights), input_size, hidden_size)
