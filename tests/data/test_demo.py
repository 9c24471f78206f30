"""The demo corpus: one seed gives one corpus, its parts share no sentence, and its scores follow from meanings."""

import os
import subprocess
import sys
from collections import Counter

import pytest

from simlstm.data.demo import demo_pairs
from simlstm.data.demo.corpus import part_of
from simlstm.data.pairs import PairData

SPLITS = ("train", "dev", "test")


def sentences_of(data: PairData) -> set[str]:
    return {*data.sentences1, *data.sentences2}


def overlap(first: str, second: str) -> float:
    """Jaccard of words, of characters in Chinese: what a bag of words sees."""
    bags = [set(text.casefold().strip(".").split()) if text.isascii() else set(text) for text in (first, second)]
    return len(bags[0] & bags[1]) / len(bags[0] | bags[1])


def test_one_seed_gives_one_corpus_whatever_the_hash_seed():
    program = "from simlstm.data.demo import demo_pairs; print(demo_pairs('dev', size=200, seed=3).sha256)"
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("0", "1", "12345")
    }
    assert printed == {demo_pairs("dev", size=200, seed=3).sha256}


def test_hash_names_the_corpus():
    hashes = [
        demo_pairs(split, language=language, seed=seed, size=20).sha256
        for split in SPLITS
        for language in ("en", "zh", "both")
        for seed in (0, 1)
    ]
    assert len(set(hashes)) == len(hashes)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_parts_share_no_sentence(language, seed):
    parts = [sentences_of(demo_pairs(split, language=language, seed=seed, size=600)) for split in SPLITS]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]


@pytest.mark.parametrize("split", SPLITS)
def test_each_sentence_belongs_to_its_part(split):
    assert {part_of(sentence) for sentence in sentences_of(demo_pairs(split, size=300, seed=5))} == {split}


def test_part_does_not_see_the_order_of_words():
    assert part_of("A dog chased a man.") == part_of("A man chased a dog.")


def test_default_sizes():
    assert len(demo_pairs("dev")) == 1_000
    assert len(demo_pairs("test", language="zh")) == 500


def test_longer_corpus_begins_with_the_shorter_one():
    shorter, longer = demo_pairs("test", size=50), demo_pairs("test", size=80)
    assert longer.sentences1[:50] == shorter.sentences1
    assert longer.targets[:50] == shorter.targets


def test_both_languages_take_turns():
    both = demo_pairs("dev", size=60)
    assert both.sentences1[0::2] == demo_pairs("dev", language="en", size=30).sentences1
    assert both.sentences1[1::2] == demo_pairs("dev", language="zh", size=30).sentences1
    assert both.ids[:3] == ["demo-en-dev-1", "demo-zh-dev-1", "demo-en-dev-2"]


def test_rows_are_graded_pairs_within_one_language():
    data = demo_pairs("train", size=1_000)
    assert data.kind == "graded"
    assert data.score_range == (0, 5)
    assert len(set(data.ids)) == len(data)
    assert all(0 <= target <= 5 for target in data.targets)
    for code, first, second in zip(data.ids, data.sentences1, data.sentences2, strict=True):
        ends = {sentence[-1] for sentence in (first, second)}
        assert ends == ({"."} if code.startswith("demo-en") else {"。"})
        assert first != second
    assert len(set(zip(data.sentences1, data.sentences2, strict=True))) == len(data)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_scores_spread_over_the_range(language):
    targets = demo_pairs("dev", language=language, size=1_000).targets
    bins = Counter(min(int(target), 4) for target in targets)
    assert all(bins[score] >= 0.08 * len(targets) for score in range(5))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_common_words_say_little(language):
    """A bag of words must be clearly worse than a model that reads, yet not useless."""
    from scipy.stats import spearmanr

    data = demo_pairs("dev", language=language, size=1_000)
    overlaps = [overlap(*pair) for pair in zip(data.sentences1, data.sentences2, strict=True)]
    assert 0.3 < spearmanr(overlaps, data.targets).statistic < 0.7
    rows = list(zip(overlaps, data.targets, strict=True))
    assert any(share >= 0.6 and target < 2.6 for share, target in rows)
    assert any(share <= 0.4 and target == 5 for share, target in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "valid"}, "split: 'valid' came; train, dev, test are allowed"),
        ({"split": "dev", "language": "fr"}, "language: 'fr' came; en, zh, both are allowed"),
        ({"split": "dev", "size": 0}, "size: 0 came; 1 and more are allowed"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        demo_pairs(**arguments)
