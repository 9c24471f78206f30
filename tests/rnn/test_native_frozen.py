"""The frozen recurrence of the native kernels against torch operations, for every instruction set."""

import pytest
import torch
from native_cases import INSTRUCTION_SETS, needs_library

from simlstm.rnn.backends import frozen_ops
from simlstm.rnn.backends.native import forced
from simlstm.rnn.backends.native.frozen import FrozenRecurrence

pytestmark = [needs_library, pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)]

# Largest difference of an h, |h| < 1. float32: order of additions. bfloat16: both round h and table to 8 bits, and an h
# at the edge of two values may go either way; the fast sigmoid adds 2e-4. int8: likewise with steps of 1/127.
TOLERANCE = {"float32": 2e-6, "bfloat16": 8e-3, "int8": 1.2e-2}
ALL = {"rows": True, "maximum": True, "total": True, "last": True}


@pytest.fixture(autouse=True)
def one_instruction_set(instruction_set):
    with forced(instruction_set):
        yield


def setting(hidden_size, directions, precision, *, vocabulary=30, input_size=12):
    generator = torch.Generator().manual_seed(hidden_size)

    def draw(*size, scale=1.0):
        return torch.randn(size, generator=generator) * scale

    w_hh = [draw(4 * hidden_size, hidden_size, scale=hidden_size**-0.5) for _ in range(directions)]
    w_ih = [draw(4 * hidden_size, input_size, scale=input_size**-0.5) for _ in range(directions)]
    bias = [draw(4 * hidden_size) for _ in range(directions)]
    ours, theirs = FrozenRecurrence(w_hh, precision), frozen_ops.FrozenRecurrence(w_hh, precision)
    rows = draw(vocabulary, input_size)
    return ours, theirs, ours.fold(rows, w_ih, bias), theirs.fold(rows, w_ih, bias)


def batch(lengths, vocabulary=30, seed=0):
    lengths = sorted(lengths, reverse=True)
    sizes = [sum(length > step for length in lengths) for step in range(lengths[0])]
    return torch.randint(vocabulary, (sum(sizes),), generator=torch.Generator().manual_seed(seed)), sizes


@pytest.mark.parametrize("precision", list(TOLERANCE))
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("hidden_size", [1, 5, 8, 16, 17, 33, 64, 130, 300])
def test_every_result(hidden_size, directions, precision):
    ours, theirs, our_table, their_table = setting(hidden_size, directions, precision)
    ids, sizes = batch([7, 5, 5, 3, 2, 1, 1])
    results, expected = ours.run(our_table, ids, sizes, **ALL), theirs.run(their_table, ids, sizes, **ALL)
    for name, result, value in zip(results._fields, results, expected, strict=True):
        scale = 7 if name == "total" else 1
        assert (result - value).abs().max() < scale * TOLERANCE[precision], name
        assert result.abs().max() > 0.01  # an answer of zeros would pass what the tolerance allows at small H


@pytest.mark.parametrize("precision", list(TOLERANCE))
def test_poolings_are_those_of_the_rows(precision):
    ours, _, table, _ = setting(20, 2, precision)
    lengths = [6, 4, 4, 1]
    ids, sizes = batch(lengths)
    results = ours.run(table, ids, sizes, **ALL)
    offsets = torch.tensor(sizes).cumsum(0) - torch.tensor(sizes)
    for sequence, length in enumerate(lengths):
        rows = results.rows[offsets[:length] + sequence]
        assert torch.equal(results.maximum[sequence], rows.max(0).values)
        torch.testing.assert_close(results.total[sequence], rows.sum(0), rtol=1e-6, atol=1e-6)
        assert torch.equal(results.last[sequence], torch.cat([rows[-1, :20], rows[0, 20:]]))
    for name in ALL:
        alone = ours.run(table, ids, sizes, **{other: other == name for other in ALL})
        assert torch.equal(getattr(alone, name), getattr(results, name))
        assert sum(value is not None for value in alone) == 1


@pytest.mark.parametrize("precision", list(TOLERANCE))
def test_a_sentence_does_not_depend_on_its_batch(precision):
    ours, _, table, _ = setting(40, 2, precision)
    ids, sizes = batch([9] * 30 + [4] * 50 + [1] * 70)
    whole = ours.run(table, ids, sizes, **ALL)
    offsets = torch.tensor(sizes).cumsum(0) - torch.tensor(sizes)
    for sequence, length in ((0, 9), (29, 9), (60, 4), (149, 1)):
        alone = ours.run(table, ids[offsets[:length] + sequence].int(), [1] * length, **ALL)
        assert torch.equal(alone.maximum[0], whole.maximum[sequence])
        assert torch.equal(alone.total[0], whole.total[sequence])
        assert torch.equal(alone.last[0], whole.last[sequence])


@pytest.mark.parametrize("precision", list(TOLERANCE))
def test_bits_do_not_depend_on_threads(precision):
    ours, _, table, _ = setting(40, 2, precision)
    ids, sizes = batch([9] * 30 + [4] * 50 + [1] * 70)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(ours.run(table, ids, sizes, **ALL).total)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(result, results[0]) for result in results)


@pytest.mark.parametrize("precision", list(TOLERANCE))
def test_rows_of_the_layer_below_need_no_ids(precision):
    ours, _, table, _ = setting(16, 2, precision)
    ids, sizes = batch([5, 2])
    gathered = table[ids]
    assert torch.equal(
        ours.run(gathered, None, sizes, **ALL).rows,
        ours.run(table, ids, sizes, **ALL).rows,
    )


def test_a_channel_of_zeros_and_one_of_large_weights_in_int8():
    w_hh = [torch.randn(4 * 8, 8)]
    w_hh[0][3] = 0
    w_hh[0][4] = 100.0
    ours, theirs = FrozenRecurrence(w_hh, "int8"), frozen_ops.FrozenRecurrence(w_hh, "int8")
    w_ih, bias, rows = [torch.randn(32, 3)], [torch.zeros(32)], torch.randn(5, 3)
    ids, sizes = batch([4, 2], vocabulary=5)
    result = ours.run(ours.fold(rows, w_ih, bias), ids, sizes, **ALL).rows
    expected = theirs.run(theirs.fold(rows, w_ih, bias), ids, sizes, **ALL).rows
    assert (result - expected).abs().max() < 5e-2  # a weight of 100 makes steps of h ten times as visible
