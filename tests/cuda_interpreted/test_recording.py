"""What a forward pass keeps for a backward pass that may never come."""

from contextlib import nullcontext

import pytest
import torch

from simlstm.rnn import LSTM
from simlstm.rnn.backends.cuda import lstm


@pytest.fixture
def problems(monkeypatch):
    """Every problem that a plan is asked for."""
    seen = []
    plan_for = lstm.plan_for

    def spy(problem, device):
        seen.append(problem)
        return plan_for(problem, device)

    monkeypatch.setattr(lstm, "plan_for", spy)
    return seen


@pytest.mark.parametrize(
    ("context", "keeps"), [(nullcontext, True), (torch.no_grad, False), (torch.inference_mode, False)]
)
def test_only_what_is_recorded_is_kept(problems, context, keeps):
    with context():
        y, _ = LSTM(3, 5)(torch.randn(2, 2, 3))
    assert [problem.keeps for problem in problems] == [keeps]
    assert y.requires_grad is keeps


def test_a_frozen_layer_over_plain_input_keeps_nothing(problems):
    layer = LSTM(3, 5).requires_grad_(False)
    layer(torch.randn(2, 2, 3))
    layer(torch.randn(2, 2, 3).requires_grad_())
    assert [problem.keeps for problem in problems] == [False, True]


def test_a_compiled_forward_pass_keeps_nothing(problems):
    layer = torch.compile(LSTM(3, 5), fullgraph=True, dynamic=True, backend="eager")
    y, _ = layer(torch.randn(2, 2, 3))
    assert [problem.keeps for problem in problems] == [False]
    y.sum().backward()  # runs the layer again, and then keeps
    assert [(problem.keeps, problem.backward) for problem in problems[1:]] == [(True, False), (False, True)]


def test_states_on_another_device_are_left_to_what_names_them():
    x, (h0, c0) = torch.randn(3, 3), torch.zeros(2, 1, 2, 5)
    weights = LSTM(3, 5)._layer_weights(0)
    named = [lstm.DirectionWeights.of(direction) for direction in weights]
    assert lstm.can_run(x, h0, c0, named, torch.float32)
    assert not lstm.can_run(x, h0.to("meta"), c0, named, torch.float32)
    assert not lstm.can_run(x, h0.long(), c0, named, torch.float32)
    assert not lstm.can_run(x, h0, c0, [named[0]._replace(b_hh=None)], torch.float32)
