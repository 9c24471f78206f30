"""GRU and RNN as modules: what people do to an nn.Module, and torch's errors."""

import copy
import pickle

import pytest
import torch
from lstm_cases import WIDTH, assert_same, scramble, sequences
from one_state_cases import MODES, make, pair, results_and_gradients
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from simlstm.rnn import GRU, RNN

ARGUMENTS = [
    {},
    {"num_layers": 2, "bias": False, "batch_first": True},
    {"num_layers": 2, "dropout": 0.25, "bidirectional": True},
]
for_each_mode = pytest.mark.parametrize("mode", MODES)


@for_each_mode
@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_reads_as_torchs(mode, arguments):
    theirs, ours = pair(mode, **arguments)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [len(weights) for weights in ours.all_weights] == [len(weights) for weights in theirs.all_weights]
    theirs.load_state_dict(ours.state_dict())
    ours.load_state_dict(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)
    assert getattr(ours, "nonlinearity", None) == getattr(theirs, "nonlinearity", None)


@for_each_mode
def test_is_initialised_as_torchs(mode):
    states = []
    for library in ("torch", "ours"):
        torch.manual_seed(3)
        states.append(make(mode, library, input_size=4, hidden_size=6, bidirectional=True).state_dict())
    for name, value in states[0].items():
        assert torch.equal(states[1][name], value)


def test_positional_arguments_are_torchs():
    gru = (3, 4, 2, False, True, 0.5, True)
    rnn = (3, 4, 2, "relu", False, True, 0.5, True)
    assert repr(GRU(*gru)) == repr(torch.nn.GRU(*gru))
    ours, theirs = RNN(*rnn), torch.nn.RNN(*rnn)
    assert repr(ours) == repr(theirs)
    assert (ours.mode, ours.nonlinearity) == (theirs.mode, theirs.nonlinearity) == ("RNN_RELU", "relu")


@for_each_mode
def test_device_and_dtype_are_taken(mode):
    layer = make(mode, input_size=2, hidden_size=3, device="meta", dtype=torch.float64)
    y, hT = layer(torch.empty(4, 2, 2, device="meta", dtype=torch.float64))
    assert (y.shape, y.dtype, hT.shape) == ((4, 2, 3), torch.float64, (1, 2, 3))


@for_each_mode
def test_warns_of_dropout_that_does_nothing(mode):
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last recurrent layer"):
        make(mode, input_size=2, hidden_size=3, dropout=0.5)


@for_each_mode
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])  # noqa: S301
def test_copies_are_whole_and_apart(mode, copied):
    _, ours = pair(mode, bidirectional=True, num_layers=2)
    expected = results_and_gradients(ours, [4, 2, 1])
    twin = copied(ours)
    assert_same(results_and_gradients(twin, [4, 2, 1]), expected)
    with torch.no_grad():
        twin.weight_hh_l0.zero_()
    assert_same(results_and_gradients(ours, [4, 2, 1]), expected)
    assert not torch.equal(results_and_gradients(twin, [4, 2, 1])["y"], expected["y"])


@for_each_mode
def test_functional_call_uses_the_given_weights(mode):
    theirs, ours = pair(mode, bidirectional=True)
    packed = pack_sequence(sequences([3, 2]))
    other = {name: torch.randn_like(value) for name, value in ours.named_parameters()}
    y, _ = torch.func.functional_call(ours, other, (packed,))
    theirs.load_state_dict(other)
    torch.testing.assert_close(y.data, theirs(packed)[0].data)


@for_each_mode
def test_tied_weights_share_their_gradient(mode):
    modules = pair(mode, bidirectional=True)
    for module in modules:
        module.weight_hh_l0_reverse = module.weight_hh_l0
    theirs, ours = (results_and_gradients(module, [4, 2, 2]) for module in modules)
    assert_same(ours, theirs)


@for_each_mode
@pytest.mark.parametrize("frozen", ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "bias", "weight", "_reverse", ""])
def test_frozen_parameters_get_no_gradient_and_change_none(mode, frozen):
    _, thawed = pair(mode, bidirectional=True)
    ours = copy.deepcopy(thawed)
    for name, parameter in ours.named_parameters():
        parameter.requires_grad_(frozen not in name)
    packed = pack_sequence(sequences([4, 2, 1]))
    h0 = torch.zeros(2, 3, 5, dtype=torch.float64, requires_grad=True)  # something to differentiate when all is frozen
    for module in (ours, thawed):
        y, hT = module(packed, h0)
        scramble(y.data, hT).backward()
    for name, parameter in ours.named_parameters():
        if frozen in name:
            assert parameter.grad is None
        else:
            torch.testing.assert_close(parameter.grad, thawed.get_parameter(name).grad)


@for_each_mode
def test_gradients_of_parameters_share_no_memory(mode):
    """Whoever scales one gradient in place must not scale another."""
    _, ours = pair(mode, bidirectional=True)
    y, _ = ours(pack_sequence(sequences([4, 2, 1])))
    scramble(y.data).backward()
    before = {name: parameter.grad.clone() for name, parameter in ours.named_parameters()}
    ours.bias_ih_l0.grad.zero_()
    for name, parameter in ours.named_parameters():
        assert torch.equal(parameter.grad, before[name]) == (name != "bias_ih_l0")


@for_each_mode
def test_the_graph_can_be_kept_and_used_again(mode):
    _, ours = pair(mode, bidirectional=True)
    loss = scramble(ours(pack_sequence(sequences([4, 2])))[0].data)
    first = torch.autograd.grad(loss, list(ours.parameters()), retain_graph=True)
    second = torch.autograd.grad(loss, list(ours.parameters()))
    for once, again in zip(first, second, strict=True):
        assert torch.equal(once, again)


@for_each_mode
def test_a_weight_changed_between_forward_and_backward_is_refused(mode):
    _, ours = pair(mode)
    y, _ = ours(pack_sequence(sequences([4, 2])))
    with torch.no_grad():
        ours.weight_hh_l0.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.data.sum().backward()


def error_of(call, *arguments, **keywords):
    with pytest.raises((RuntimeError, ValueError)) as caught:
        call(*arguments, **keywords)
    return type(caught.value), str(caught.value)


X = torch.zeros(4, 2, WIDTH, dtype=torch.float64)
STATE = torch.zeros(1, 2, 5, dtype=torch.float64)


@for_each_mode
@pytest.mark.parametrize(
    "arguments",
    [
        (X[:0],),
        (X[0, 0],),
        (X[..., None],),
        (X[..., :2],),
        (X.float(),),
        (X, STATE[:, :1]),
        (X, STATE[..., :4]),
        (X, STATE[0]),
        (X[:, 0], STATE),
        (pack_sequence(sequences([3, 2])), STATE[:, :1]),
    ],
    ids=range(10),
)
def test_errors_are_torchs(mode, arguments):
    theirs, ours = pair(mode)
    assert error_of(ours, *arguments) == error_of(theirs, *arguments)


@for_each_mode
@pytest.mark.parametrize(
    "arguments",
    [{"proj_size": 2}, {"proj_size": 0}, {"hidden_size": 0}, {"num_layers": 0}, {"dropout": 2.0}],
    ids=str,
)
def test_wrong_arguments_are_refused_in_torchs_words(mode, arguments):
    arguments = {"input_size": 3, "hidden_size": 5} | arguments
    assert error_of(make, mode, "ours", **arguments) == error_of(make, mode, "torch", **arguments)


@pytest.mark.parametrize("nonlinearity", ["sigmoid", "TANH", ""])
def test_other_nonlinearities_are_refused_in_torchs_words(nonlinearity):
    ours, theirs = (error_of(module, 3, 5, nonlinearity=nonlinearity) for module in (RNN, torch.nn.RNN))
    assert ours == theirs


@for_each_mode
def test_a_state_of_another_dtype_is_refused(mode):
    _, ours = pair(mode)
    with pytest.raises(RuntimeError, match=r"hidden must have the input's dtype torch.float64, got torch.float32"):
        ours(X, STATE.float())


@for_each_mode
def test_packed_rows_and_batch_sizes_must_agree(mode):
    _, ours = pair(mode)
    rows = torch.zeros(5, WIDTH, dtype=torch.float64)
    with pytest.raises(ValueError, match="batch_sizes must sum to the 5 packed rows, got a sum of 6"):
        ours(PackedSequence(rows, torch.tensor([3, 2, 1])))
