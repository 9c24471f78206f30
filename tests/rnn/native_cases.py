"""Random layers over random packed batches, for the tests of the native kernels."""

from collections.abc import Sequence
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from simlstm.rnn.backends import torch_ops
from simlstm.rnn.backends.native import runnable
from simlstm.rnn.backends.native.lstm import lstm_layer
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights

needs_library = pytest.mark.skipif(not runnable(), reason="no native kernels were built here (no C++ compiler)")
INSTRUCTION_SETS = runnable() or ["none"]


class Case(NamedTuple):
    """What one layer is given."""

    x: Tensor
    walk: PackedWalk
    h0: Tensor
    c0: Tensor
    weights: list[DirectionWeights]

    def leaves(self) -> list[Tensor]:
        """Return every tensor that a gradient can be asked for."""
        flat = [tensor for direction in self.weights for tensor in direction if tensor is not None]
        return [self.x, self.h0, self.c0, *flat]


def random_case(
    lengths: Sequence[int], input_size: int, hidden_size: int, *, directions: int = 2, bias: bool = True, seed: int = 0
) -> Case:
    """Draw a layer and a batch; float32."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*size: int, scale: float = 1.0) -> Tensor:
        return (torch.randn(size, generator=generator) * scale).requires_grad_()

    lengths = sorted(lengths, reverse=True)
    sizes = tuple(sum(length > step for length in lengths) for step in range(lengths[0]))
    weights = [
        DirectionWeights(
            draw(4 * hidden_size, input_size, scale=input_size**-0.5),
            draw(4 * hidden_size, hidden_size, scale=hidden_size**-0.5),
            draw(4 * hidden_size) if bias else None,
            draw(4 * hidden_size) if bias else None,
            None,
        )
        for _ in range(directions)
    ]
    state = (directions, len(lengths), hidden_size)
    walk = PackedWalk(sizes, torch.device("cpu"))
    return Case(draw(sum(sizes), input_size), walk, draw(*state, scale=0.3), draw(*state), weights)


def output_gradients(outputs: Sequence[Tensor], seed: int = 9) -> list[Tensor]:
    """Draw a gradient for each output."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(output.shape, generator=generator) for output in outputs]


def native(case: Case) -> tuple[list[Tensor], list[Tensor]]:
    """Run the kernels; return outputs and the gradients of all leaves."""
    outputs = lstm_layer(*case)
    return [output.detach() for output in outputs], list(
        torch.autograd.grad(outputs, case.leaves(), output_gradients(outputs))
    )


def exact(case: Case) -> tuple[list[Tensor], list[Tensor]]:
    """Run the same in torch operations and float64."""
    leaves = [leaf.detach().double().requires_grad_() for leaf in case.leaves()]
    x, h0, c0, *flat = leaves
    rest = iter(flat)
    weights = [
        DirectionWeights(*(None if tensor is None else next(rest) for tensor in direction))
        for direction in case.weights
    ]
    outputs = torch_ops.lstm_layer(x, case.walk, h0, c0, weights, torch.float64)
    gradients = torch.autograd.grad(outputs, leaves, [g.double() for g in output_gradients(outputs)])
    return [output.detach() for output in outputs], list(gradients)


def worst(results: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Return the largest difference, relative to the largest value of its tensor.

    A tensor of nothing but small values is what is left of larger ones that cancelled: it is held to their rounding.
    """
    return max(
        float((result.double() - value).abs().max() / value.abs().max().clamp(min=0.1))
        for result, value in zip(results, expected, strict=True)
    )
