"""One packed layer with everything a backend is called with, in float64."""

from typing import NamedTuple

import torch
from torch import Tensor

from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights

BATCH_SIZES = (5, 4, 4, 1, 1, 1)
INPUT_SIZE, HIDDEN_SIZE = 3, 4


class Case(NamedTuple):
    """The arguments of a layer; every tensor asks for its gradient."""

    x: Tensor
    walk: PackedWalk
    h0: Tensor
    c0: Tensor
    weights: list[DirectionWeights]


def make_case(*, directions: int, bias: bool, batch_sizes: tuple[int, ...] = BATCH_SIZES) -> Case:
    generator = torch.Generator().manual_seed(directions + 2 * bias)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    gates, sequences = 4 * HIDDEN_SIZE, batch_sizes[0]
    weights = [
        DirectionWeights(
            random(gates, INPUT_SIZE),
            random(gates, HIDDEN_SIZE),
            random(gates) if bias else None,
            random(gates) if bias else None,
            None,
        )
        for _ in range(directions)
    ]
    state = (directions, sequences, HIDDEN_SIZE)
    walk = PackedWalk(batch_sizes, torch.device("cpu"))
    return Case(random(sum(batch_sizes), INPUT_SIZE), walk, random(*state), random(*state), weights)


def gradients_of(layer, case: Case) -> dict[str, Tensor]:
    """Return a layer's results and the gradient of every input, by name."""
    results = layer(*case)
    named = {"x": case.x, "h0": case.h0, "c0": case.c0}
    for direction, weights in enumerate(case.weights):
        named |= {f"{name} {direction}": tensor for name, tensor in weights._asdict().items() if tensor is not None}
    generator = torch.Generator().manual_seed(0)
    arrived = [torch.randn(result.shape, generator=generator, dtype=result.dtype) for result in results]
    gradients = torch.autograd.grad(results, list(named.values()), arrived)
    return dict(zip(("y", "hT", "cT"), results, strict=True)) | {
        f"d {name}": gradient for name, gradient in zip(named, gradients, strict=True)
    }
