"""Random layers and batches for the tests of the CUDA kernels, on a GPU or under Triton's interpreter.

The truth is computed in float64 on the CPU, of the same numbers: everything is drawn once and rounded to the dtype that
the kernels are given.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from simlstm.rnn.backends import gaps, torch_ops
from simlstm.rnn.device_walk import DeviceWalk
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights

# The shapes of a batch that have broken packed layers before; longest first, as the kernels want them.
LENGTHS = {
    "ragged": [5, 3, 3, 1],
    "all of length one": [1, 1, 1],
    "equal": [3, 3, 3],
    "one sequence": [4],
    "one row": [1],
    "several blocks": [4] + [3] * 20 + [1] * 14,
}

# Largest norm of a difference over the norm of what is right. float32 rounds by 6e-8 at every product and sum, tens of
# them in a row. The 16 bits of an operand are off by 2**-9 (bfloat16) and 2**-12 (float16): of the pre-activations, of
# h at every step and of the gates' gradients; the gates kept for the backward pass by 2**-12. What comes of it is some
# three times the rounding of one. TF32 keeps the 11 bits of float16, and its activations are off by 2**-11.
TOLERANCES = {
    "float32": 1e-5,
    "tf32": 4e-3,
    "float16": 4e-3,
    "bfloat16": 2e-2,
}


@dataclass(frozen=True)
class Case:
    """What one layer is given, on one device; leaves ask for gradients.

    Attributes:
        x: [N, I].
        walk: the layout.
        h0: [D, B, H].
        c0: [D, B, H].
        weights: of each direction.
    """

    x: Tensor
    walk: PackedWalk | DeviceWalk
    h0: Tensor
    c0: Tensor
    weights: list[DirectionWeights]

    def leaves(self) -> dict[str, Tensor]:
        """Return every tensor that a gradient can be asked for, by name."""
        flat = {
            f"{name}{'_reverse' * direction}": tensor
            for direction, weights in enumerate(self.weights)
            for name, tensor in weights._asdict().items()
            if tensor is not None
        }
        return {"x": self.x, "h0": self.h0, "c0": self.c0} | flat

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "Case":
        """Return the same numbers elsewhere, as leaves of their own."""
        device = torch.device(device)

        def moved(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.detach().to(device, dtype).requires_grad_()

        walk = self.walk
        if isinstance(walk, PackedWalk):
            walk = PackedWalk(walk.batch_sizes, device)
        else:
            places = None if walk.places is None else walk.places.to(device)
            walk = replace(walk, offsets=walk.offsets.to(device), places=places, lengths=walk.lengths.to(device))
        weights = [DirectionWeights(*map(moved, direction)) for direction in self.weights]
        return Case(moved(self.x), walk, moved(self.h0), moved(self.c0), weights)


def random_case(
    lengths: Sequence[int],
    input_size: int,
    hidden_size: int,
    dtype: torch.dtype = torch.float32,
    *,
    directions: int = 2,
    bias: bool = True,
    states: bool = True,
    padded: bool = False,
    batch_first: bool = False,
    seed: int = 0,
) -> Case:
    """Draw a layer and a batch on the CPU.

    Args:
        lengths: of the sequences; in any order, zeros among them, only when padded. Otherwise longest first.
        input_size: I.
        hidden_size: H.
        dtype: of every tensor.
        directions: D.
        bias: whether there are biases.
        states: whether initial states are random; otherwise they are zeros.
        padded: whether rows are those of a padded batch, two steps longer than it need be, and the walk a
            ``DeviceWalk``; states are in the walk's order.
        batch_first: of a padded batch.
        seed: of the draw.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(*size: int, scale: float = 1.0) -> Tensor:
        return (torch.randn(size, generator=generator, dtype=torch.float64) * scale).to(dtype).requires_grad_()

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
    if padded:
        steps = max(lengths) + 2
        walk, _ = DeviceWalk.of_padded(torch.tensor(lengths), steps, batch_first=batch_first)
        rows = walk.rows
    else:
        sizes = tuple(sum(length > step for length in lengths) for step in range(lengths[0]))
        walk, rows = PackedWalk(sizes, torch.device("cpu")), sum(sizes)
    shape = (directions, len(lengths), hidden_size)
    h0, c0 = draw(*shape, scale=0.3 * states), draw(*shape, scale=1.0 * states)
    return Case(draw(rows, input_size), walk, h0, c0, weights)


def truth(case: Case) -> dict[str, Tensor]:
    """Return outputs, final states and every gradient in float64, in torch operations on the CPU."""
    case = case.to("cpu", torch.float64)
    if isinstance(case.walk, PackedWalk):
        outputs = torch_ops.lstm_layer(case.x, case.walk, case.h0, case.c0, case.weights, torch.float64)
    else:
        run = torch_ops.lstm_layer
        outputs = gaps.lstm_layer(run, case.x, case.walk, case.h0, case.c0, case.weights, torch.float64)
    return _results(case, outputs)


def computed(case: Case, products: torch.dtype | None = None) -> dict[str, Tensor]:
    """Return the same from the kernels, on the device of the case."""
    from simlstm.rnn.backends.cuda import lstm

    products = products or case.x.dtype
    if not lstm.can_run(case.x, case.h0, case.c0, case.weights, products):
        raise AssertionError("the kernels do not take what they are to be tested with")
    return _results(case, lstm.lstm_layer(case.x, case.walk, case.h0, case.c0, case.weights, products))


def arriving(outputs: Sequence[Tensor], seed: int = 9) -> list[Tensor]:
    """Draw a gradient for each output, in numbers that 16 bits hold."""
    generator = torch.Generator().manual_seed(seed)
    drawn = (torch.randn(output.shape, generator=generator).bfloat16() for output in outputs)
    return [gradient.to(output) for gradient, output in zip(drawn, outputs, strict=True)]


def difference(actual: Tensor, expected: Tensor) -> float:
    """Return the norm of the difference over the norm of what is right; infinite where something is no number.

    What is right may be the little that is left of large numbers that cancelled: it is held to the rounding of those.
    """
    actual, expected = (tensor.detach().double().cpu() for tensor in (actual, expected))
    if not actual.isfinite().all():
        return torch.inf
    smallest = 0.03 * expected.numel() ** 0.5
    return float((actual - expected).norm() / expected.norm().clamp(min=smallest))


def assert_close(actual: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    """Hold every tensor to a tolerance, and name the one that fails."""
    assert list(actual) == list(expected)
    for name, value in expected.items():
        assert actual[name].shape == value.shape, name
        found = difference(actual[name], value)
        assert found <= tolerance, f"{name} differs by {found:.2e} of its norm; {tolerance:.0e} is allowed"


def _results(case: Case, outputs: Sequence[Tensor]) -> dict[str, Tensor]:
    leaves = case.leaves()
    gradients = torch.autograd.grad(outputs, list(leaves.values()), arriving(outputs))
    named = {f"gradient of {name}": gradient for name, gradient in zip(leaves, gradients, strict=True)}
    return dict(zip(("y", "hT", "cT"), (output.detach() for output in outputs), strict=True)) | named
