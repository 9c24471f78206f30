"""The averaged weights against a slow loop."""

import pytest
import torch
from torch import nn

from simlstm.training.ema import AveragedModel


def test_it_is_the_average_that_the_formula_gives():
    model = nn.Linear(3, 2).double()
    averaged = AveragedModel(model, decay=0.8)
    expected = model.weight.detach().clone()
    for step in range(1, 60):
        with torch.no_grad():
            model.weight.add_(torch.randn(2, 3, dtype=torch.float64))
        averaged.update(model, step)
        decay = min(0.8, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    assert torch.allclose(averaged.model.weight, expected, rtol=1e-12)
    assert not torch.allclose(averaged.model.weight, model.weight)


def test_the_copy_is_its_own_and_takes_no_gradient():
    model = nn.Linear(2, 2)
    averaged = AveragedModel(model, decay=0.9)
    assert averaged.model.weight.data_ptr() != model.weight.data_ptr()
    assert not any(parameter.requires_grad for parameter in averaged.model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not averaged.model.training


def test_frozen_parameters_and_buffers_follow():
    model = nn.BatchNorm1d(3)
    model.weight.requires_grad_(False)
    averaged = AveragedModel(model, decay=0.9)
    model(torch.randn(8, 3))
    averaged.update(model, 1)
    assert torch.equal(averaged.model.weight, model.weight)
    assert torch.equal(averaged.model.running_mean, model.running_mean)


@pytest.mark.parametrize("decay", [0.0, 1.0, -1.0])
def test_the_decay_lies_between_0_and_1(decay):
    with pytest.raises(ValueError, match="above 0 and below 1"):
        AveragedModel(nn.Linear(1, 1), decay)


def test_an_update_at_every_third_step_moves_as_far_as_three():
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    averaged = AveragedModel(model, decay=0.9, every=3)
    nn.init.ones_(model.weight)
    for step in (999, 1000, 1001):  # far beyond the climb of the decay; 999 is the only multiple of 3
        averaged.update(model, step)
    assert averaged.model.weight.item() == pytest.approx(1 - 0.9**3)
