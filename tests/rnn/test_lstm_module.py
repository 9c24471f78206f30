"""The module around the recurrence: what people do to an nn.Module, and torch's errors."""

import copy
import pickle
import warnings

import pytest
import torch
from lstm_cases import WIDTH, assert_same, pair, results_and_gradients, scramble, sequences
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from simlstm.rnn import LSTM

ARGUMENTS = [
    {},
    {"num_layers": 2, "bias": False, "batch_first": True},
    {"num_layers": 2, "dropout": 0.25, "bidirectional": True, "proj_size": 2},
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_reads_as_torchs(arguments):
    theirs, ours = pair(**arguments)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [len(weights) for weights in ours.all_weights] == [len(weights) for weights in theirs.all_weights]
    theirs.load_state_dict(ours.state_dict())
    ours.load_state_dict(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


def test_is_initialised_as_torchs():
    torch.manual_seed(3)
    theirs = torch.nn.LSTM(4, 6, num_layers=2, bidirectional=True)
    torch.manual_seed(3)
    ours = LSTM(4, 6, num_layers=2, bidirectional=True)
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


def test_positional_arguments_are_torchs():
    arguments = (3, 4, 2, False, True, 0.5, True, 2)
    assert repr(LSTM(*arguments)) == repr(torch.nn.LSTM(*arguments))


def test_warns_of_dropout_that_does_nothing():
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last recurrent layer"):
        LSTM(2, 3, dropout=0.5)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])  # noqa: S301
def test_copies_are_whole_and_apart(copied):
    _, ours = pair(bidirectional=True, num_layers=2, proj_size=2)
    expected = results_and_gradients(ours, [4, 2, 1])
    twin = copied(ours)
    assert_same(results_and_gradients(twin, [4, 2, 1]), expected)
    with torch.no_grad():
        twin.weight_hh_l0.zero_()
    assert_same(results_and_gradients(ours, [4, 2, 1]), expected)
    assert not torch.equal(results_and_gradients(twin, [4, 2, 1])["y"], expected["y"])


def test_functional_call_uses_the_given_weights():
    theirs, ours = pair(bidirectional=True)
    packed = pack_sequence(sequences([3, 2]))
    other = {name: torch.randn_like(value) for name, value in ours.named_parameters()}
    y, _ = torch.func.functional_call(ours, other, (packed,))
    theirs.load_state_dict(other)
    torch.testing.assert_close(y.data, theirs(packed)[0].data)


def test_tied_weights_share_their_gradient():
    modules = pair(bidirectional=True)
    for module in modules:
        module.weight_hh_l0_reverse = module.weight_hh_l0
    assert_same(*(results_and_gradients(module, [4, 2, 2]) for module in modules))


def test_parametrized_weights_are_seen():
    _, ours = pair()

    class Doubled(torch.nn.Module):
        def forward(self, weight):
            return 2 * weight

    packed = pack_sequence(sequences([3, 2]))
    doubled = copy.deepcopy(ours)
    with torch.no_grad():
        doubled.weight_hh_l0 *= 2
    parametrize.register_parametrization(ours, "weight_hh_l0", Doubled())
    torch.testing.assert_close(ours(packed)[0].data, doubled(packed)[0].data)


@pytest.mark.parametrize(
    "frozen", ["weight_ih", "weight_hh", "weight_hr", "bias_ih", "bias_hh", "bias", "weight", "_reverse", ""]
)
def test_frozen_parameters_get_no_gradient_and_change_none(frozen):
    _, thawed = pair(bidirectional=True, proj_size=2)
    ours = copy.deepcopy(thawed)
    for name, parameter in ours.named_parameters():
        parameter.requires_grad_(frozen not in name)
    packed = pack_sequence(sequences([4, 2, 1]))
    c0 = torch.zeros(2, 3, 5, dtype=torch.float64, requires_grad=True)  # something to differentiate when all is frozen
    for module in (ours, thawed):
        y, (hT, cT) = module(packed, (torch.zeros(2, 3, 2, dtype=torch.float64), c0))
        scramble(y.data, hT, cT).backward()
    for name, parameter in ours.named_parameters():
        if frozen in name:
            assert parameter.grad is None
        else:
            torch.testing.assert_close(parameter.grad, thawed.get_parameter(name).grad)


def test_the_graph_can_be_kept_and_used_again():
    _, ours = pair(bidirectional=True)
    y, _ = ours(pack_sequence(sequences([4, 2])))
    loss = scramble(y.data)
    first = torch.autograd.grad(loss, list(ours.parameters()), retain_graph=True)
    second = torch.autograd.grad(loss, list(ours.parameters()))
    for once, again in zip(first, second, strict=True):
        assert torch.equal(once, again)


def test_a_weight_changed_between_forward_and_backward_is_refused():
    _, ours = pair()
    y, _ = ours(pack_sequence(sequences([4, 2])))
    with torch.no_grad():
        ours.weight_hh_l0.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.data.sum().backward()


def test_flatten_parameters_is_accepted():
    _, ours = pair()
    assert ours.flatten_parameters() is None


def test_moves_and_casts():
    theirs, ours = pair(bidirectional=True)
    assert_same(
        results_and_gradients(ours.float(), [3, 1]),
        results_and_gradients(theirs.float(), [3, 1]),
        rtol=1e-5,
        atol=1e-6,
    )
    shapes = ours.to("meta")(torch.empty(4, 2, WIDTH, device="meta"))
    assert shapes[0].shape == (4, 2, 10)


def error_of(module, *arguments):
    with pytest.raises((RuntimeError, ValueError)) as caught:
        module(*arguments)
    return type(caught.value), str(caught.value)


X = torch.zeros(4, 2, WIDTH, dtype=torch.float64)
STATE = torch.zeros(1, 2, 5, dtype=torch.float64)


@pytest.mark.parametrize(
    "arguments",
    [
        (X[:0],),
        (X[0, 0],),
        (X[..., None],),
        (X[..., :2],),
        (X.float(),),
        (X, (STATE[:, :1], STATE)),
        (X, (STATE, STATE[..., :4])),
        (X, (STATE[0], STATE)),
        (X, (STATE, STATE[0])),
        (X[:, 0], (STATE, STATE)),
        (PackedSequence(X[0].float(), torch.tensor([2])),),
    ],
    ids=range(11),
)
def test_errors_are_torchs(arguments):
    theirs, ours = pair()
    if isinstance(arguments[0], PackedSequence):
        # torch words its dtype error the same for packed input, but only looks at padded input.
        padded = arguments[0].data.unsqueeze(0)
        assert error_of(ours, *arguments) == error_of(theirs, padded)
    else:
        assert error_of(ours, *arguments) == error_of(theirs, *arguments)


def test_packed_input_is_checked_like_padded_input():
    """torch.nn.LSTM lets some wrong packed input through to whatever fails further down; ours says what is wrong."""
    _, ours = pair()
    with pytest.raises(RuntimeError, match="input must have 2 dimensions, got 3"):
        ours(PackedSequence(X, torch.tensor([4])))
    with pytest.raises(RuntimeError, match=r"input.size\(-1\) must be equal to input_size. Expected 3, got 2"):
        ours(PackedSequence(X[0, :, :2], torch.tensor([2])))


def test_two_states_are_expected():
    _, ours = pair()
    with pytest.raises(RuntimeError, match="lstm expects two hidden states"):
        ours(X, (STATE, STATE, STATE))


def test_packed_rows_and_batch_sizes_must_agree():
    _, ours = pair()
    rows = torch.zeros(5, WIDTH, dtype=torch.float64)
    with pytest.raises(ValueError, match="batch_sizes must sum to the 5 packed rows, got a sum of 6"):
        ours(PackedSequence(rows, torch.tensor([3, 2, 1])))


def test_states_must_fit_the_packed_batch():
    _, ours = pair()
    packed = pack_sequence(sequences([3, 2]))
    with pytest.raises(RuntimeError, match=r"Expected hidden\[0\] size \(1, 2, 5\), got \[1, 3, 5\]"):
        ours(packed, (torch.zeros(1, 3, 5).double(), torch.zeros(1, 2, 5).double()))
    with pytest.raises(RuntimeError, match=r"hidden\[1\] must have the input's dtype torch.float64, got torch.float32"):
        ours(packed, (STATE, STATE.float()))


def test_no_warning_in_ordinary_use():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, ours = pair(num_layers=2, dropout=0.1, bidirectional=True)
        results_and_gradients(ours, [3, 1])
