"""The packed walk, against what packing row numbers says."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_sequence

from simlstm.rnn.walk import PackedWalk

lengths_strategy = st.lists(st.integers(1, 12), min_size=1, max_size=9)


def walk_and_places(lengths: list[int]) -> tuple[PackedWalk, list[tuple[int, int]]]:
    """Return the walk and, for each packed row, its (sequence, step)."""
    ordered = sorted(lengths, reverse=True)
    packed = pack_sequence(
        [torch.stack([torch.full((length,), index), torch.arange(length)], 1) for index, length in enumerate(ordered)]
    )
    walk = PackedWalk(tuple(packed.batch_sizes.tolist()), torch.device("cpu"))
    return walk, [tuple(place) for place in packed.data.tolist()]


@given(lengths_strategy)
def test_reversal_swaps_each_row_with_its_mirror_image(lengths):
    walk, places = walk_and_places(lengths)
    ordered = sorted(lengths, reverse=True)
    for row, mirror in enumerate(walk.reversal.tolist()):
        sequence, step = places[row]
        assert places[mirror] == (sequence, ordered[sequence] - 1 - step)
    assert torch.equal(walk.reversal[walk.reversal], torch.arange(walk.rows))


@given(lengths_strategy)
def test_states_before_and_last_states(lengths):
    walk, places = walk_and_places(lengths)
    ordered = sorted(lengths, reverse=True)
    # A state buffer whose rows say whose state they hold, after which step: -1 is the initial state.
    states = torch.tensor([(sequence, -1) for sequence in range(walk.sequences)] + places).unsqueeze(0)
    assert walk.before(states)[0].tolist() == [[sequence, step - 1] for sequence, step in places]
    assert walk.last(states)[0].tolist() == [[sequence, length - 1] for sequence, length in enumerate(ordered)]


@given(lengths_strategy)
def test_steps_cover_every_row_once_in_order(lengths):
    walk, places = walk_and_places(lengths)
    rows = torch.arange(walk.rows)
    steps = walk.steps(rows)
    assert torch.equal(torch.cat(steps), rows)
    states = torch.tensor([(sequence, -1) for sequence in range(walk.sequences)] + places)
    for number, (step, before) in enumerate(zip(steps, walk.steps_before(states), strict=True)):
        assert [places[row] for row in step.tolist()] == [(sequence, number) for sequence in range(len(step))]
        assert before.tolist() == [[sequence, number - 1] for sequence in range(len(step))]


@given(lengths_strategy)
def test_add_to_last_touches_only_last_rows(lengths):
    walk, places = walk_and_places(lengths)
    ordered = sorted(lengths, reverse=True)
    rows = torch.zeros(1, walk.rows, 1)
    walk.add_to_last_(rows, torch.arange(1.0, walk.sequences + 1).view(1, -1, 1))
    expected = [sequence + 1.0 if step == ordered[sequence] - 1 else 0.0 for sequence, step in places]
    assert rows.flatten().tolist() == expected


def test_batch_sizes_that_grow_are_refused():
    with pytest.raises(ValueError, match="batch_sizes must never grow, got 2 then 3 at step 1"):
        PackedWalk((2, 3), torch.device("cpu"))


def test_a_batch_without_steps_is_refused():
    with pytest.raises(ValueError, match="batch_sizes must hold at least one step, got none"):
        PackedWalk((), torch.device("cpu"))
