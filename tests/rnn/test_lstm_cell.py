"""LSTMCell equals torch.nn.LSTMCell: results, gradients, errors."""

import copy
import itertools

import pytest
import torch
from lstm_cases import scramble

from simlstm.rnn import LSTM, LSTMCell


def cells(**arguments):
    torch.manual_seed(0)
    theirs = torch.nn.LSTMCell(3, 5, dtype=torch.float64, **arguments)
    ours = LSTMCell(3, 5, dtype=torch.float64, **arguments)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


@pytest.mark.parametrize(
    ("bias", "batch", "used"), list(itertools.product((False, True), ((), (1,), (4,), (0,)), ("h", "c", "both")))
)
def test_equals_torch(bias, batch, used):
    theirs, ours = cells(bias=bias)
    x = torch.randn(*batch, 3, dtype=torch.float64, requires_grad=True)
    states = tuple(torch.randn(*batch, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    results = []
    for cell in (ours, theirs):
        h, c = cell(x, states)
        loss = scramble(*{"h": [h], "c": [c], "both": [h, c]}[used])
        gradients = torch.autograd.grad(loss, [x, *states, *cell.parameters()], materialize_grads=True)
        results.append([h, c, *gradients])
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected)


def test_states_are_zero_by_default():
    theirs, ours = cells()
    x = torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours(x[0]), theirs(x[0]))


def test_stepping_a_cell_equals_a_layer():
    _, cell = cells()
    layer = LSTM(3, 5, dtype=torch.float64)
    layer.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    x = torch.randn(7, 2, 3, dtype=torch.float64)
    states = None
    for x_t in x:
        states = cell(x_t, states)
    _, (hT, cT) = layer(x)
    torch.testing.assert_close(states, (hT[0], cT[0]))


@pytest.mark.parametrize("frozen", ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "bias", ""])
def test_frozen_parameters_get_no_gradient(frozen):
    _, ours = cells()
    for name, parameter in ours.named_parameters():
        parameter.requires_grad_(frozen not in name)
    x = torch.randn(4, 3, dtype=torch.float64)
    h, c = ours(x, (torch.randn(4, 5).double().requires_grad_(), torch.zeros(4, 5).double()))
    scramble(h, c).backward()
    assert all((parameter.grad is None) == (frozen in name) for name, parameter in ours.named_parameters())


def test_results_are_the_callers_own():
    _, ours = cells()
    gradients = []
    for spoil in (False, True):
        results = ours(torch.ones(4, 3, dtype=torch.float64))
        if spoil:
            with torch.no_grad():
                for result in results:
                    result.fill_(torch.nan)
        gradients.append(torch.autograd.grad(results, list(ours.parameters()), [torch.ones_like(c) for c in results]))
    for clean, spoiled in zip(*gradients, strict=True):
        assert torch.equal(clean, spoiled)


def test_reads_and_copies_as_torchs():
    theirs, ours = cells(bias=False)
    assert repr(ours) == repr(theirs)
    twin = copy.deepcopy(ours)
    x = torch.randn(2, 3, dtype=torch.float64)
    assert torch.equal(twin(x)[0], ours(x)[0])


X = torch.zeros(4, 3, dtype=torch.float64)
STATE = torch.zeros(4, 5, dtype=torch.float64)


@pytest.mark.parametrize(
    "arguments",
    [
        (X[None],),
        (X[:, :2],),
        (X, (STATE[:3], STATE)),
        (X, (STATE, STATE[:3])),
        (X, (STATE[:, :4], STATE)),
        (X, (STATE, STATE[:, :4])),
        (X, (STATE[None], STATE)),
        (X, (STATE, STATE[None])),
        (X, (STATE,)),
        (X, (STATE[0], STATE[0])),
        (X[0], (STATE[:1], STATE[:1])),
    ],
    ids=range(11),
)
def test_errors_are_torchs(arguments):
    said = []
    for cell in cells():
        with pytest.raises((RuntimeError, ValueError)) as caught:
            cell(*arguments)
        said.append((type(caught.value), str(caught.value)))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X.float(),), "weight_ih must have the input's dtype torch.float32, got torch.float64"),
        ((X.float()[0],), "weight_ih must have the input's dtype torch.float32, got torch.float64"),
        ((X.long(),), "input must have a floating dtype, got torch.int64"),
        ((X, (STATE.float(), STATE)), r"hx\[0\] must have the input's dtype torch.float64, got torch.float32"),
        ((X, (STATE, STATE.float())), r"hx\[1\] must have the input's dtype torch.float64, got torch.float32"),
    ],
)
@pytest.mark.parametrize("autocast", [False, True])
def test_other_dtypes_are_refused(arguments, message, autocast):
    _, ours = cells()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast), pytest.raises(RuntimeError, match=message):
        ours(*arguments)


def test_one_parameter_of_another_dtype_is_refused():
    _, ours = cells()
    ours.bias_hh.data = ours.bias_hh.data.float()
    with pytest.raises(RuntimeError, match=r"bias_hh must have the input's dtype torch.float64, got torch.float32"):
        ours(X)


def test_autocast_brings_dtypes_together():
    cell = LSTMCell(3, 5)
    x = torch.randn(4, 3, dtype=torch.bfloat16)
    state = torch.zeros(4, 5)
    with torch.autocast("cpu", torch.bfloat16):
        mixed, _ = cell(x, (state, state))
    assert mixed.dtype == torch.float32
    expected, _ = cell(x.float(), (state, state))
    # bfloat16 keeps 8 bits of the products.
    torch.testing.assert_close(mixed, expected, rtol=0, atol=2e-2)
