"""Memory that nobody has written holds NaN here: every row that exists is written, and no other is."""

import pytest
import torch

from simlstm.rnn.backends.cuda.arithmetic import Arithmetic
from simlstm.rnn.backends.cuda.launch import Kept, Recurrent, Wanted, backward, forward
from simlstm.rnn.backends.cuda.plan import Plan
from simlstm.rnn.device_walk import DeviceWalk
from tests.cuda.cases import computed, random_case

FLOAT32 = Arithmetic(torch.float32, "ieee", approximate=False, kept=torch.float32)
PLANS = {
    "whole": Plan("whole", 16, 32, 0, 4, at_once=True),
    "split": Plan("split", 16, 16, 0, 4, at_once=True),
    "streamed": Plan("split", 16, 16, 16, 4, at_once=False),
}
HIDDEN, DIRECTIONS = 20, 2
GUARD = 64  # elements behind a buffer


@pytest.mark.parametrize("padded", [False, True])
def test_fresh_memory_is_not_believed(padded, monkeypatch):
    case = random_case([0, 3, 1] if padded else [3, 2, 1], 3, HIDDEN, padded=padded)
    expected = computed(case)

    def poisoned(make):
        def made(*arguments, **options):
            tensor = make(*arguments, **options)
            return tensor.fill_(torch.nan) if tensor.is_floating_point() else tensor

        return made

    monkeypatch.setattr(torch, "empty", poisoned(torch.empty))
    monkeypatch.setattr(torch.Tensor, "new_empty", poisoned(torch.Tensor.new_empty))
    monkeypatch.setattr(torch, "empty_like", poisoned(torch.empty_like))
    actual = computed(case)
    assert all(torch.equal(actual[name], value) for name, value in expected.items())


class Guarded:
    """Buffers of NaN with NaN behind them."""

    def __init__(self):
        self._whole = []

    def __call__(self, *shape, value=torch.nan):
        count = torch.Size(shape).numel()
        whole = torch.full((count + GUARD,), torch.nan)
        self._whole.append((whole, count))
        return whole[:count].fill_(value).view(shape)

    def untouched(self):
        return all(whole[count:].isnan().all() for whole, count in self._whole)


@pytest.mark.parametrize("plan", list(PLANS.values()), ids=list(PLANS))
def test_rows_that_exist_are_written_and_no_others(plan):
    lengths = [3] + [2] * 10 + [1] * 8 + [0]  # two blocks
    case = random_case(lengths, 3, HIDDEN, padded=True)
    walk, buffers = case.walk, Guarded()
    assert isinstance(walk, DeviceWalk)
    runs = torch.arange(walk.steps)[:, None] < walk.lengths
    exists = torch.zeros(walk.rows, dtype=torch.bool)
    exists[(walk.offsets[:, None] + walk.places)[runs]] = True
    recurrent = Recurrent([w.w_hh.detach() for w in case.weights])
    gates = torch.randn(walk.rows, DIRECTIONS * 4 * HIDDEN)
    gates[~exists] = torch.nan
    kept = Kept(
        buffers(walk.rows, DIRECTIONS, 4 * HIDDEN),
        buffers(walk.rows, DIRECTIONS, HIDDEN),
        buffers(walk.rows, DIRECTIONS, HIDDEN),
    )
    sequences = len(lengths)
    wanted = Wanted(
        y=buffers(walk.rows, DIRECTIONS * HIDDEN),
        hT=buffers(DIRECTIONS, sequences, HIDDEN, value=0.0),
        kept=kept,
        maximum=buffers(sequences, DIRECTIONS * HIDDEN),
        total=buffers(sequences, DIRECTIONS * HIDDEN),
    )
    cT = forward(gates, None, walk, recurrent, None, FLOAT32, plan, wanted)
    for rows in (wanted.y, kept.gates, kept.h_before, kept.c_before):
        assert rows[exists].isfinite().all()
        assert rows[~exists].isnan().all()
    assert wanted.hT.isfinite().all()
    assert cT.isfinite().all()
    assert wanted.maximum[:-1].isfinite().all()
    assert (wanted.maximum[-1] == -torch.inf).all()  # of no step
    assert (wanted.total[-1] == 0).all()
    assert wanted.total.isfinite().all()

    dy = torch.randn(walk.rows, DIRECTIONS * HIDDEN)
    dy[~exists] = torch.nan
    states = torch.randn(2, DIRECTIONS, sequences, HIDDEN)
    d_gates, dh0, dc0 = backward(walk, recurrent, kept, (dy, states[0], states[1]), FLOAT32, plan)
    assert d_gates[exists].isfinite().all()
    assert (d_gates[~exists] == 0).all()
    assert dh0.isfinite().all()
    assert dc0.isfinite().all()
    assert torch.equal(dh0[:, -1], states[0][:, -1])  # what reaches a sequence without a step passes through
    assert torch.equal(dc0[:, -1], states[1][:, -1])
    assert buffers.untouched()
