"""Inputs, models and comparisons that the tests of the recurrent layer share."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from simlstm.rnn import LSTM
from simlstm.rnn.reference import run_sequence
from simlstm.rnn.weights import DirectionWeights

# The shapes of a batch that have broken packed layers before.
LENGTHS = {
    "ragged": [7, 4, 4, 2, 1],
    "unsorted": [2, 7, 1, 4, 4],
    "all of length one": [1, 1, 1],
    "equal": [5, 5, 5],
    "one sequence": [6],
    "one row": [1],
    "one long": [40, 1],
}
WIDTH = 3


def sequences(lengths: Sequence[int], dtype: torch.dtype = torch.float64, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, WIDTH, dtype=torch.float64, generator=generator).to(dtype) for length in lengths]


def pair(dtype: torch.dtype = torch.float64, **arguments: object) -> tuple[torch.nn.LSTM, LSTM]:
    """Return torch's layer and ours with the same weights."""
    torch.manual_seed(1)
    arguments = {"input_size": WIDTH, "hidden_size": 5, "dtype": dtype} | arguments
    theirs = torch.nn.LSTM(**arguments)
    ours = LSTM(**arguments)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def initial_states(module: torch.nn.RNNBase, batch: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    count = module.num_layers * (2 if module.bidirectional else 1)
    sizes = (module.proj_size or module.hidden_size, module.hidden_size)
    h0, c0 = (torch.randn(count, batch, size, dtype=torch.float64, generator=generator).to(dtype) for size in sizes)
    return h0.requires_grad_(), c0.requires_grad_()


def scramble(*tensors: Tensor) -> Tensor:
    """Return a scalar to which every element of every tensor contributes differently and not linearly."""
    return sum(
        (tensor.double() * torch.linspace(0.5, 1.5, tensor.numel(), dtype=torch.float64).view_as(tensor)).sin().sum()
        for tensor in tensors
    )


def results_and_gradients(
    module: torch.nn.RNNBase, lengths: Sequence[int], *, with_states: bool = True
) -> dict[str, Tensor]:
    """Run a layer over a packed batch; return outputs, final states, and the gradient of everything."""
    dtype = module.weight_ih_l0.dtype
    packed = pack_sequence(sequences(lengths, dtype), enforce_sorted=False)
    x = packed.data.requires_grad_()
    states = initial_states(module, len(lengths), dtype) if with_states else None
    y, (hT, cT) = module(PackedSequence(x, *packed[1:]), states)
    leaves = {"x": x} | dict(module.named_parameters())
    if states is not None:
        leaves |= {"h0": states[0], "c0": states[1]}
    gradients = torch.autograd.grad(scramble(y.data, hT, cT), list(leaves.values()))
    named = {f"gradient of {name}": gradient for name, gradient in zip(leaves, gradients, strict=True)}
    return {"y": y.data, "hT": hT, "cT": cT} | named


def reference_results_and_gradients(module: LSTM, lengths: Sequence[int]) -> dict[str, Tensor]:
    """Do what :func:`results_and_gradients` does, one sequence at a time, with the plain recurrence."""
    rows = sequences(lengths)
    packed = pack_sequence(rows, enforce_sorted=False)
    x = packed.data.requires_grad_()
    # Which packed rows belong to which sequence: pack the row numbers alongside.
    numbers = pack_sequence(
        [torch.full((length,), index) for index, length in enumerate(lengths)], enforce_sorted=False
    )
    h0, c0 = initial_states(module, len(lengths))
    weights = [
        DirectionWeights(
            w[0],
            w[1],
            w[2] if module.bias else None,
            w[3] if module.bias else None,
            w[-1] if module.proj_size else None,
        )
        for w in module.all_weights
    ]
    outputs = []
    for index in range(len(lengths)):
        rows_of_sequence = x[numbers.data == index]
        outputs.append(
            run_sequence(rows_of_sequence, h0[:, index], c0[:, index], weights, bidirectional=module.bidirectional)
        )
    y = pack_sequence([output[0] for output in outputs], enforce_sorted=False).data
    hT, cT = (torch.stack([output[part] for output in outputs], dim=1) for part in (1, 2))
    leaves = {"x": x} | dict(module.named_parameters()) | {"h0": h0, "c0": c0}
    gradients = torch.autograd.grad(scramble(y, hT, cT), list(leaves.values()))
    named = {f"gradient of {name}": gradient for name, gradient in zip(leaves, gradients, strict=True)}
    return {"y": y, "hT": hT, "cT": cT} | named


def assert_same(actual: dict[str, Tensor], expected: dict[str, Tensor], **tolerance: float) -> None:
    assert list(actual) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, msg=lambda text, name=name: f"{name}: {text}", **tolerance)
