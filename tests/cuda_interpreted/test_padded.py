"""Rows of a padded batch whose lengths the host does not know: in place, in any order, with rows that are nobody's."""

import pytest
import torch

from simlstm.rnn.backends import differentiable, gaps
from simlstm.rnn.backends.cuda import lstm
from simlstm.rnn.backends.cuda.plan import Plan
from simlstm.rnn.device_walk import DeviceWalk
from tests.cuda.cases import TOLERANCES, assert_close, computed, random_case, truth

PLANS = {"whole": Plan("whole", 16, 32, 0, 4, at_once=True), "split": Plan("split", 16, 16, 0, 4, at_once=True)}
LENGTHS = {
    "unsorted": [2, 4, 1, 3],
    "some without a step": [0, 3, 0, 1],
    "none with a step": [0, 0],
    "several blocks": [2, 0] * 9 + [3, 1] * 4,
}


@pytest.fixture(params=list(PLANS.values()), ids=list(PLANS))
def _plan(request, monkeypatch):
    monkeypatch.setattr(lstm, "plan_for", lambda problem, device: request.param)


def nobodys(case):
    """Return which rows are nobody's, bool [N]."""
    walk = case.walk
    runs = torch.arange(walk.steps)[:, None] < walk.lengths
    is_nobodys = torch.ones(walk.rows, dtype=torch.bool)
    is_nobodys[(walk.offsets[:, None] + walk.places)[runs]] = False
    return is_nobodys


@pytest.mark.usefixtures("_plan")
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", list(LENGTHS.values()), ids=list(LENGTHS))
def test_equals_the_packed_layer(lengths, batch_first):
    case = random_case(lengths, 3, 20, padded=True, batch_first=batch_first)
    actual = computed(case)
    assert_close(actual, truth(case), TOLERANCES["float32"])
    gaps = nobodys(case)
    assert gaps.sum() == case.walk.rows - sum(lengths)
    assert (actual["y"][gaps] == 0).all()
    assert (actual["gradient of x"][gaps] == 0).all()


@pytest.mark.usefixtures("_plan")
def test_sequences_without_a_step_keep_their_states():
    case = random_case([0, 2, 0], 3, 20, padded=True)
    actual = computed(case)
    assert torch.equal(actual["hT"][:, 1:], case.h0[:, 1:])
    assert torch.equal(actual["cT"][:, 1:], case.c0[:, 1:])


@pytest.mark.usefixtures("_plan")
def test_no_sequence_sees_rows_that_are_nobodys():
    """What stands there may be anything in the forward pass; for the weight gradients, the caller makes it finite."""
    case = random_case([2, 0, 3], 3, 20, padded=True)
    gaps = nobodys(case)
    x = case.x.detach().clone()
    x[gaps] = torch.nan
    with torch.no_grad():
        expected = lstm.lstm_layer(case.x, case.walk, case.h0, case.c0, case.weights, torch.float32)
        actual = lstm.lstm_layer(x, case.walk, case.h0, case.c0, case.weights, torch.float32)
    assert all(torch.equal(*both) for both in zip(actual, expected, strict=True))
    expected, large = computed(case), case.x.detach().clone()
    large[gaps] = 1e30
    changed = type(case)(large.requires_grad_(), case.walk, case.h0, case.c0, case.weights)
    actual = computed(changed)
    assert all(torch.equal(actual[name], value) for name, value in expected.items())


def test_lengths_beyond_the_steps_are_cut():
    walk, order = DeviceWalk.of_padded(torch.tensor([-3, 9, 2]), 4, batch_first=False)
    assert walk.lengths.tolist() == [4, 2, 0]
    assert order.tolist() == [1, 2, 0]
    assert walk.places.tolist() == [1, 2, 0]
    assert walk.offsets.tolist() == [0, 3, 6, 9]


def test_rows_of_a_batch_first_walk():
    walk, _ = DeviceWalk.of_padded(torch.tensor([1, 3]), 4, batch_first=True)
    assert [int(walk.offsets[2] + walk.places[0]), int(walk.offsets[0] + walk.places[1])] == [6, 0]


def test_twice_differentiable():
    case = random_case([2, 0, 1], 3, 5, padded=True)
    second = []
    for one in (case, case.to("cpu", torch.float64)):
        leaves = one.leaves()
        arguments = (one.x, one.walk, one.h0, one.c0, one.weights)
        if one is case:
            y, hT, cT = lstm.lstm_layer(*arguments, torch.float32)
        else:
            y, hT, cT = gaps.lstm_layer(differentiable.lstm_layer, *arguments)
        first = torch.autograd.grad(
            y.sin().sum() + hT.sin().sum() + cT.sin().sum(), list(leaves.values()), create_graph=True
        )
        found = torch.autograd.grad(sum(gradient.square().sum() for gradient in first), list(leaves.values()))
        second.append(dict(zip(leaves, found, strict=True)))
    assert_close(*second, 2 * TOLERANCES["float32"])
