"""Selecting, splitting and scaling pairs."""

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlstm.data.pairs import PairData


def make(sentences1, **changes):
    count = len(sentences1)
    data = PairData(
        name="made",
        sentences1=list(sentences1),
        sentences2=[f"other {number}" for number in range(count)],
        targets=[float(number % 5) + 1 for number in range(count)],
        kind="graded",
        score_range=(1, 5),
        ids=[f"id{number}" for number in range(count)],
        groups=None,
        sources=None,
        sha256="0" * 64,
    )
    return replace(data, **changes)


def test_scaled_targets():
    assert make("abcde").scaled_targets() == [0, 0.25, 0.5, 0.75, 1]
    assert make("ab", targets=[0.0, 1.0], score_range=(0, 1), kind="binary").scaled_targets() == [0, 1]


def test_select_keeps_rows_together():
    data = make("abc", groups=["x", "y", "z"], sources=["p", "q", "r"])
    chosen = data.select([2, 0, 2])
    assert chosen.sentences1 == ["c", "a", "c"]
    assert chosen.sentences2 == ["other 2", "other 0", "other 2"]
    assert chosen.targets == [3, 1, 3]
    assert chosen.ids == ["id2", "id0", "id2"]
    assert chosen.groups == ["z", "x", "z"]
    assert chosen.sources == ["r", "p", "r"]
    assert (chosen.name, chosen.sha256, chosen.score_range) == (data.name, data.sha256, data.score_range)
    assert len(data.select([])) == 0
    assert len(data.select(iter(range(3)))) == 3


@pytest.mark.parametrize("indices", [[3], [-1], [0, 5]])
def test_select_checks_indices(indices):
    with pytest.raises(IndexError, match="allowed: 0 to 2"):
        make("abc").select(indices)


@given(
    sentences=st.lists(st.one_of(st.sampled_from("abcdefgh"), st.text(st.characters(exclude_categories=())))),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(),
)
def test_split_is_a_partition_by_first_sentence(sentences, fraction, seed):
    data = make(sentences)
    train, dev = data.split(fraction, seed=seed)
    assert set(train.sentences1).isdisjoint(dev.sentences1)
    assert sorted(train.ids + dev.ids) == sorted(data.ids)
    assert train.ids == [identifier for identifier in data.ids if identifier in set(train.ids)]
    assert data.split(fraction, seed=seed) == (train, dev)


def test_split_has_about_the_fraction_and_depends_on_the_seed():
    data = make([f"sentence {number}" for number in range(5000)])
    train, dev = data.split(0.1, seed=1)
    assert 430 < len(dev) < 570  # 500 expected, standard deviation 21
    assert len(train) + len(dev) == 5000
    assert dev.ids != data.split(0.1, seed=2)[1].ids
    # A larger fraction takes more, and gives none back.
    assert set(dev.ids) < set(data.split(0.2, seed=1)[1].ids)


def test_split_stays_when_rows_are_added():
    few, many = make("abcdefgh"), make("abcdefghijklmnop")
    assert set(few.split(0.5, seed=0)[1].sentences1) <= set(many.split(0.5, seed=0)[1].sentences1)


def test_split_is_the_same_in_another_process():
    program = (
        "from simlstm.data.pairs import PairData; s = [str(n) for n in range(50)];"
        "print(PairData('', s, s, [1.0] * 50, 'binary', (0, 1), s, None, None, '').split(0.4, seed=9)[1].ids)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    numbers = [str(number) for number in range(50)]
    assert run.stdout.strip() == str(make(numbers, ids=numbers).split(0.4, seed=9)[1].ids)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_split_checks_the_fraction(fraction):
    with pytest.raises(ValueError, match="fraction: "):
        make("ab").split(fraction, seed=0)


def test_a_pair_is_the_same_the_other_way_round():
    data = make(["a", "b", "c"], sentences2=["b", "a", "c"])
    assert data.unordered_pairs() == [("a", "b"), ("a", "b"), ("c", "c")]


@pytest.mark.parametrize("column", ["sentences2", "targets", "ids", "groups", "sources"])
def test_columns_have_one_length(column):
    with pytest.raises(ValueError, match="columns of made: lengths"):
        make("abc", **{column: ["x"]})


def test_the_range_is_not_empty():
    with pytest.raises(ValueError, match="score_range: "):
        make("abc", score_range=(1, 1))
