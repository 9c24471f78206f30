"""First and second derivatives against finite differences, in float64."""

import pytest
import torch
from lstm_cases import WIDTH, pair, sequences
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from simlstm.rnn import LSTMCell

CASES = [
    {"bidirectional": True},
    {"bidirectional": False, "bias": False},
    {"bidirectional": True, "proj_size": 1},
    {"bidirectional": True, "num_layers": 2, "bias": False},
]


def layer_and_inputs(arguments):
    _, layer = pair(hidden_size=2, **arguments)
    packed = pack_sequence(sequences([3, 2, 1]))
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    h0 = torch.randn(count, 3, layer.proj_size or 2, dtype=torch.float64)
    c0 = torch.randn(count, 3, 2, dtype=torch.float64)
    names = [name for name, _ in layer.named_parameters()]
    inputs = [packed.data, h0, c0, *layer.parameters()]

    def run(x, h0, c0, *parameters):
        y, (hT, cT) = torch.func.functional_call(
            layer, dict(zip(names, parameters, strict=True)), (PackedSequence(x, packed.batch_sizes), (h0, c0))
        )
        return y.data, hT, cT

    return run, tuple(tensor.detach().clone().requires_grad_() for tensor in inputs)


@pytest.mark.parametrize("arguments", CASES, ids=str)
def test_layer_gradcheck(arguments):
    run, inputs = layer_and_inputs(arguments)
    assert gradcheck(run, inputs)


@pytest.mark.parametrize("arguments", CASES, ids=str)
def test_layer_gradgradcheck(arguments):
    run, inputs = layer_and_inputs(arguments)
    assert gradgradcheck(run, inputs, fast_mode=True)


@pytest.mark.parametrize("bias", [False, True])
def test_cell_gradcheck_and_gradgradcheck(bias):
    torch.manual_seed(0)
    cell = LSTMCell(WIDTH, 2, bias=bias, dtype=torch.float64)
    states = [torch.randn(2, 2, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    x = torch.randn(2, WIDTH, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in cell.named_parameters()]

    def run(x, h, c, *parameters):
        return torch.func.functional_call(cell, dict(zip(names, parameters, strict=True)), (x, (h, c)))

    inputs = (x, *states, *cell.parameters())
    assert gradcheck(run, inputs)
    assert gradgradcheck(run, inputs)


def test_second_derivatives_with_tied_weights_equal_torchs():
    """A parameter that stands in two places gets the sum of both second derivatives, each once."""
    results = []
    for module in pair(bidirectional=True):
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
            setattr(module, f"{name}_reverse", getattr(module, name))
        packed = pack_sequence(sequences([3, 1]))
        y, _ = module(packed)
        first = torch.autograd.grad(y.data.sin().sum(), list(module.parameters()), create_graph=True)
        second = torch.autograd.grad(sum(gradient.square().sum() for gradient in first), list(module.parameters()))
        results.append([*first, *second])
    assert len(results[0]) == 8
    for theirs, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
