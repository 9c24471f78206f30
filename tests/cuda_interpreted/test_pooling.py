"""The frozen form: gates from a table by token ids, poolings made on the way, no states at first."""

import pytest
import torch

from simlstm.rnn.backends.cuda.arithmetic import Arithmetic
from simlstm.rnn.backends.cuda.launch import Recurrent, Wanted, forward
from simlstm.rnn.backends.cuda.plan import Plan
from simlstm.rnn.backends.frozen_ops import FrozenRecurrence
from simlstm.rnn.walk import PackedWalk

HIDDEN, TOKENS = 20, 11
PLANS = {
    "whole": Plan("whole", 16, 32, 0, 4, at_once=True),
    "split": Plan("split", 16, 16, 0, 4, at_once=True),
    "streamed": Plan("split", 16, 16, 16, 4, at_once=False),
}
BATCH_SIZES = (20, 18, 3)
FLOAT32 = Arithmetic(torch.float32, "ieee", approximate=False, kept=torch.float32)
BFLOAT16 = Arithmetic(torch.bfloat16, "exact", approximate=False, kept=torch.float16)


def both(plan, arithmetic, directions=2, ids_dtype=torch.int64):
    """Return rows, maximum, total and final states of the kernel and of torch operations."""
    generator = torch.Generator().manual_seed(0)
    w_hh = [torch.randn(4 * HIDDEN, HIDDEN, generator=generator) * 0.3 for _ in range(directions)]
    table = torch.randn(TOKENS, directions * 4 * HIDDEN, generator=generator).to(arithmetic.products)
    walk = PackedWalk(BATCH_SIZES, torch.device("cpu"))
    ids = torch.randint(TOKENS, (walk.rows,), generator=generator)
    truth = FrozenRecurrence(w_hh, "float32" if arithmetic is FLOAT32 else "bfloat16")
    expected = truth.run(table, ids, BATCH_SIZES, rows=True, maximum=True, total=True, last=True)
    width = directions * HIDDEN
    wanted = Wanted(
        y=torch.full((walk.rows, width), torch.nan),
        hT=torch.zeros(directions, walk.sequences, HIDDEN),
        maximum=torch.full((walk.sequences, width), torch.nan),
        total=torch.full((walk.sequences, width), torch.nan),
    )
    recurrent = Recurrent([w.to(arithmetic.products) for w in w_hh])
    forward(table, ids.to(ids_dtype), walk.on_device, recurrent, None, arithmetic, plan, wanted)
    last = wanted.hT.transpose(0, 1).flatten(1)
    return (wanted.y, wanted.maximum, wanted.total, last), expected


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("plan", list(PLANS.values()), ids=list(PLANS))
def test_equals_torch_operations(plan, directions):
    actual, expected = both(plan, FLOAT32, directions)
    for name, value, right in zip(expected._fields, actual, expected, strict=True):
        # |h| < 1, and float32 rounds by 6e-8 at each of some tens of operations.
        torch.testing.assert_close(value, right, rtol=1e-5, atol=2e-6, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("plan", list(PLANS.values()), ids=list(PLANS))
def test_equals_torch_operations_in_bfloat16(plan):
    actual, expected = both(plan, BFLOAT16)
    for name, value, right in zip(expected._fields, actual, expected, strict=True):
        # Both round h at every step; where they round it to two neighbours, 2**-8 apart, three steps carry that on.
        torch.testing.assert_close(value, right, rtol=0, atol=1e-2, msg=lambda text, name=name: f"{name}: {text}")


def test_ids_of_32_bits_are_the_same():
    for wide, narrow in zip(both(PLANS["whole"], FLOAT32)[0], both(PLANS["whole"], FLOAT32, ids_dtype=torch.int32)[0],
                            strict=True):  # fmt: skip
        assert torch.equal(wide, narrow)
