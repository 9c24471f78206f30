"""The order of batches: pure, weighted, one source at a time."""

from collections import Counter

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from simlstm.data.formats import read_pairs
from simlstm.data.pairs import PairData
from simlstm.text.tokenizer import Tokenizer
from simlstm.training.corpus import Corpus
from simlstm.training.losses import multiple_negatives

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


def test_captions_of_one_picture_are_no_negatives_in_a_batch_of_256_either_way_round(tmp_path):
    path = tmp_path / "captions.tsv"
    # Two pictures share a caption word for word: they are one group, then.
    rows = [f"p{g}\t{WORDS[g % 8]} number {g} seen {i}" for g in range(150) for i in range(4)]
    rows += [f"p{g}\tthe very same" for g in (3, 7)]
    path.write_text("group\tsentence\n" + "\n".join(rows), encoding="utf-8")
    data = read_pairs(path)
    corpus = _corpus([data], [1.0], batch_size=256)
    planned = max(corpus.epoch(0), key=lambda batch: len(batch.rows))
    batch, kind = corpus.collate(planned)
    assert (kind, len(batch.groups)) == ("positive", 256)
    pictures = ["p3" if data.groups[row] == "p7" else data.groups[row] for row in planned.rows]
    same = torch.tensor([[a == b for b in pictures] for a in pictures])
    assert torch.equal(batch.groups[:, None] == batch.groups[None, :], same)
    assert same.sum() > 256 + 100

    torch.manual_seed(0)
    first, second = torch.randn(2, 256, 8, dtype=torch.float64).unbind()
    loss = multiple_negatives(first, second, batch.groups, temperature=0.05)
    torch.testing.assert_close(loss, multiple_negatives(second, first, batch.groups, temperature=0.05))
    # With the mask, a partner of one's own group may come as close as it likes at no cost to the row.
    own = torch.arange(256)
    logits = normalize(first, dim=1) @ normalize(second, dim=1).T / 0.05
    masked = logits.masked_fill(same & ~torch.eye(256, dtype=torch.bool), float("-inf"))
    torch.testing.assert_close(loss, (cross_entropy(masked, own) + cross_entropy(masked.T, own)) / 2)
    assert loss < multiple_negatives(first, second, temperature=0.05)
