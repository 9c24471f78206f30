"""Reductions on a grid, for devices where a walk over steps is too many launches: held against the walk, on the CPU."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simlstm.models.packed import packed_maximum, packed_sum
from simlstm.models.packed_grid import GridMaximum, grid_sum, is_dense

LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=5).map(lambda lengths: sorted(lengths, reverse=True))


def packed_rows(lengths, dtype=torch.float64):
    batch_sizes = torch.tensor([sum(length > t for length in lengths) for t in range(lengths[0])])
    generator = torch.Generator().manual_seed(sum(lengths))
    # Few different values, so that tokens tie.
    rows = torch.randint(-2, 3, (int(batch_sizes.sum()), 4), generator=generator).to(dtype)
    return rows.requires_grad_(), batch_sizes


@settings(max_examples=30, deadline=None)
@given(LENGTHS)
def test_maximum_and_its_gradient_are_those_of_the_walk(lengths):
    rows, batch_sizes = packed_rows(lengths)
    found = GridMaximum.apply(rows, batch_sizes)
    expected = packed_maximum(rows, batch_sizes)
    arrived = torch.arange(found.numel(), dtype=rows.dtype).view_as(found) + 1
    assert torch.equal(found, expected)
    assert torch.equal(*(torch.autograd.grad(result, rows, arrived)[0] for result in (found, expected)))


@settings(max_examples=30, deadline=None)
@given(LENGTHS)
def test_sum_is_that_of_the_walk(lengths):
    rows, batch_sizes = packed_rows(lengths)
    assert torch.equal(grid_sum(rows, batch_sizes, torch.float64), packed_sum(rows, batch_sizes))


def test_sixteen_bit_rows_are_added_in_float32():
    rows = torch.full((400, 1), 1.0, dtype=torch.bfloat16)
    total = grid_sum(rows, torch.ones(400, dtype=torch.int64), torch.float32)
    assert total.dtype == torch.float32
    assert total.item() == 400


def test_a_grid_that_is_mostly_gaps_is_not_made():
    assert is_dense(torch.tensor([4, 2, 1]))
    assert is_dense(torch.tensor([8] + [1] * 7))
    assert not is_dense(torch.tensor([4096] * 12 + [1] * 2000))


@pytest.mark.parametrize("place", [0, 2])
def test_not_a_number_wins(place):
    rows, batch_sizes = packed_rows([3, 1])
    with torch.no_grad():
        rows[place] = torch.nan
    assert GridMaximum.apply(rows, batch_sizes)[0].isnan().all()
