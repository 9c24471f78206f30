"""Models, runs and the plain recurrence of GRU and RNN, for the tests of layers with one state."""

from collections.abc import Sequence

import torch
from lstm_cases import WIDTH, scramble, sequences
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from simlstm.rnn import GRU, RNN
from simlstm.rnn.one_state import OneState
from simlstm.rnn.reference_one_state import run_gru_direction, run_relu_direction, run_sequence, run_tanh_direction
from simlstm.rnn.weights import DirectionWeights

MODES = ["GRU", "RNN_TANH", "RNN_RELU"]
RUN_DIRECTION = {"GRU": run_gru_direction, "RNN_TANH": run_tanh_direction, "RNN_RELU": run_relu_direction}


def make(mode: str, library: str = "ours", **arguments: object) -> torch.nn.RNNBase:
    """Build torch's layer ("torch") or ours."""
    if mode == "GRU":
        return {"torch": torch.nn.GRU, "ours": GRU}[library](**arguments)
    nonlinearity = mode.removeprefix("RNN_").lower()
    return {"torch": torch.nn.RNN, "ours": RNN}[library](nonlinearity=nonlinearity, **arguments)


def pair(mode: str, dtype: torch.dtype = torch.float64, **arguments: object) -> tuple[torch.nn.RNNBase, OneState]:
    """Return torch's layer and ours with the same weights."""
    torch.manual_seed(1)
    arguments = {"input_size": WIDTH, "hidden_size": 5, "dtype": dtype} | arguments
    theirs, ours = make(mode, "torch", **arguments), make(mode, **arguments)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def initial_state(module: torch.nn.RNNBase, batch: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    count = module.num_layers * (2 if module.bidirectional else 1)
    h0 = torch.randn(count, batch, module.hidden_size, dtype=torch.float64, generator=generator)
    return h0.to(dtype).requires_grad_()


def with_gradients(
    module: torch.nn.RNNBase, x: Tensor, h0: Tensor | None, y: Tensor, final: Tensor
) -> dict[str, Tensor]:
    """Return results and the gradients of everything that led to them, by name."""
    leaves = {"x": x} | dict(module.named_parameters())
    if h0 is not None:
        leaves["h0"] = h0
    gradients = torch.autograd.grad(scramble(y, final), list(leaves.values()))
    named = {f"gradient of {name}": gradient for name, gradient in zip(leaves, gradients, strict=True)}
    return {"y": y, "hT": final} | named


def results_and_gradients(
    module: torch.nn.RNNBase, lengths: Sequence[int], *, with_state: bool = True
) -> dict[str, Tensor]:
    """Run a layer over a packed batch; return outputs, final states, and the gradient of everything."""
    dtype = module.weight_ih_l0.dtype
    packed = pack_sequence(sequences(lengths, dtype), enforce_sorted=False)
    x = packed.data.requires_grad_()
    h0 = initial_state(module, len(lengths), dtype) if with_state else None
    y, hT = module(PackedSequence(x, *packed[1:]), h0)
    return with_gradients(module, x, h0, y.data, hT)


def reference_results_and_gradients(module: OneState, lengths: Sequence[int]) -> dict[str, Tensor]:
    """Do what :func:`results_and_gradients` does, one sequence at a time, with the plain recurrence."""
    packed = pack_sequence(sequences(lengths), enforce_sorted=False)
    x = packed.data.requires_grad_()
    # Which packed rows belong to which sequence: pack the row numbers alongside.
    numbers = pack_sequence(
        [torch.full((length,), index) for index, length in enumerate(lengths)], enforce_sorted=False
    )
    h0 = initial_state(module, len(lengths))
    weights = [DirectionWeights(*w[:2], *(w[2:] if module.bias else (None, None)), None) for w in module.all_weights]
    outputs = [
        run_sequence(
            x[numbers.data == index],
            h0[:, index],
            weights,
            bidirectional=module.bidirectional,
            run_direction=RUN_DIRECTION[module.mode],
        )
        for index in range(len(lengths))
    ]
    y = pack_sequence([output for output, _ in outputs], enforce_sorted=False).data
    return with_gradients(module, x, h0, y, torch.stack([final for _, final in outputs], dim=1))
