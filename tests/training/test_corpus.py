"""The order of batches: pure, weighted, one source at a time."""

from collections import Counter

import pytest

from simlstm.data.pairs import PairData
from simlstm.text.tokenizer import Tokenizer
from simlstm.training.corpus import Corpus

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight"]


def _data(name, rows, kind="graded", groups=None, sentences=None):
    pairs = sentences or [(f"{WORDS[i % 8]} {name}", f"{WORDS[i // 8 % 8]} word") for i in range(rows)]
    return PairData(
        name=name,
        sentences1=[pair[0] for pair in pairs],
        sentences2=[pair[1] for pair in pairs],
        targets=[1.0] * len(pairs),
        kind=kind,
        score_range=(0, 5) if kind == "graded" else (0, 1),
        ids=[str(i) for i in range(len(pairs))],
        groups=groups,
        sources=None,
        sha256="",
    )


def _corpus(data, weights, seed=0, batch_size=4):
    texts = [text for source in data for text in (*source.sentences1, *source.sentences2)]
    return Corpus(data, weights, Tokenizer.train(texts), max_tokens=10, batch_size=batch_size, seed=seed)


def test_every_row_comes_once_in_batches_of_one_source():
    corpus = _corpus([_data("a", 10), _data("b", 7)], [1.0, 1.0])
    plan = corpus.epoch(0)
    assert len(plan) == corpus.batches_per_epoch() == 3 + 2
    for source, rows in ((0, 10), (1, 7)):
        seen = [row for batch in plan if batch.source == source for row in batch.rows]
        assert sorted(seen) == list(range(rows))


def test_an_epoch_is_a_pure_function_of_seed_and_number():
    data = [_data("a", 30), _data("b", 30)]
    assert _corpus(data, [1.0, 1.0]).epoch(3) == _corpus(data, [1.0, 1.0]).epoch(3)
    assert _corpus(data, [1.0, 1.0]).epoch(3) != _corpus(data, [1.0, 1.0]).epoch(4)
    assert _corpus(data, [1.0, 1.0]).epoch(3) != _corpus(data, [1.0, 1.0], seed=1).epoch(3)


def test_sources_of_equal_size_do_not_share_an_order():
    plan = _corpus([_data("a", 40), _data("b", 40)], [1.0, 1.0], batch_size=40).epoch(0)
    assert plan[0].rows != plan[1].rows


@pytest.mark.parametrize(("weight", "batches"), [(0.5, 5), (2.0, 20), (1.5, 15), (0.01, 1)])
def test_the_weight_multiplies_the_batches(weight, batches):
    corpus = _corpus([_data("a", 40), _data("b", 8)], [weight, 1.0])
    plan = corpus.epoch(0)
    counts = Counter(batch.source for batch in plan)
    assert counts == {0: batches, 1: 2}
    assert len(plan) == corpus.batches_per_epoch()
    rows = Counter(row for batch in plan if batch.source == 0 for row in batch.rows)
    assert max(rows.values()) <= -(-weight // 1)


def test_collating_scales_targets_and_tells_the_kind():
    corpus = _corpus([_data("a", 4), _data("b", 4, kind="positive")], [1.0, 1.0])
    batches = {kind: batch for batch, kind in map(corpus.collate, corpus.epoch(0))}
    assert batches["graded"].targets.tolist() == pytest.approx([0.2] * 4)
    assert batches["graded"].groups is None
    assert batches["positive"].targets.tolist() == [1.0] * 4
    assert len(batches["positive"].groups) == 4


def test_pairs_joined_by_a_sentence_or_a_published_group_are_one_group():
    sentences = [("one", "two"), ("two", "three"), ("four", "five"), ("six", "seven"), ("eight", "eight")]
    corpus = _corpus([_data("a", 5, kind="positive", groups=["g", "h", "i", "i", "j"], sentences=sentences)], [1.0])
    groups = corpus.sources[0].groups
    assert groups[0] == groups[1]  # through "two"
    assert groups[2] == groups[3]  # one published group
    assert len(set(groups)) == 3


def test_unlike_pairs_join_nothing():
    data = _data("a", 2, kind="binary", sentences=[("one", "two"), ("two", "three")])
    object.__setattr__(data, "targets", [0.0, 1.0])
    groups = _corpus([data], [1.0]).sources[0].groups
    assert groups[0] != groups[1]
