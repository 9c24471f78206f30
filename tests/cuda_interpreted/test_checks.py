"""The checks that tests/cuda makes on a GPU, on small cases: they hold here, and they run."""

import pytest
import torch

from simlstm.rnn import ragged
from simlstm.rnn.device_layout import DeviceLayout
from tests.cuda.cases import TOLERANCES, computed, random_case
from tests.cuda.checks import (
    Step,
    assert_equal,
    case_on,
    check_alone_and_together,
    check_determinism,
    check_parity,
    check_poisoned,
)


@pytest.mark.parametrize("arithmetic", ["bfloat16", "tf32"])
def test_parity(arithmetic, monkeypatch):
    check_parity(case_on("cpu", arithmetic, monkeypatch, [3, 1], 3, 5), arithmetic)


def test_parity_notices(monkeypatch):
    case = case_on("cpu", "float32", monkeypatch, [3, 1], 3, 5)
    wrong = computed(case)
    monkeypatch.setattr("tests.cuda.checks.computed", lambda case: wrong | {"hT": wrong["hT"] + 1e-3})
    with pytest.raises(AssertionError, match="hT differs by"):
        check_parity(case, "float32")


def test_fresh_memory_and_determinism(monkeypatch):
    case = case_on("cpu", "float32", monkeypatch, [0, 2, 1], 3, 5, padded=True)
    check_poisoned(case, monkeypatch)
    check_determinism(case, 2)


def test_alone_and_together():
    lengths = [3, 2, 2]
    check_alone_and_together(random_case(lengths, 3, 5), lengths, [0, 2], TOLERANCES["float32"])


def test_step_follows_its_memory(monkeypatch):
    monkeypatch.setattr(ragged, "layout_of", DeviceLayout)
    step = Step("cpu", [2, 0, 1], 3, torch.float32, hidden_size=5, num_layers=1)
    before = step()
    step.change([1, 3, 0], 1)
    after = step()
    step.change([1, 3, 0], 1)
    assert_equal(step(), after)
    assert not torch.equal(before["y"], after["y"])
    with pytest.raises(AssertionError, match="y is not the same"):
        assert_equal(before, after)
