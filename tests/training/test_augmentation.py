"""Augmented pairs: what may become of them, and that it is the same for a run that is resumed or shared out."""

import re
import signal

import pytest

from simlstm.data.errors import DataError
from simlstm.text.tokenizer import Tokenizer
from simlstm.training.augmentation import Augmentation, known_synonyms, read_synonyms
from simlstm.training.build import build_corpus, build_start
from simlstm.training.config_file import ConfigError
from simlstm.training.interruption import Interrupted
from simlstm.training.run_data import read_run_data
from tests.training.test_resume import StopAfter

SYNONYMS = {"man": ["woman", "child"], "likes": ["eats"]}


@pytest.fixture
def synonyms(tmp_path):
    path = tmp_path / "synonyms.tsv"
    path.write_text("word1\tword2\nMan\twoman\nlikes\teats\nman\twoman\ntea\tnowhere\nman\tchild\n", encoding="utf-8")
    return path


def _pairs(augmentation, *, turn=0, rows=400):
    return [augmentation.pair("A Man likes 茶!", "no word", source=0, turn=turn, row=row) for row in range(rows)]


def test_words_are_replaced_at_the_rate_and_everything_else_stays():
    pairs = _pairs(Augmentation(SYNONYMS, rate=0.25, swap=False, seed=1))
    assert {second for _, second in pairs} == {"no word"}
    assert all(re.fullmatch(r"A (Man|woman|child) (likes|eats) 茶!", first) for first, _ in pairs)
    # 800 words: three standard deviations of the share are 0.046.
    replaced = sum(("Man" not in first) + ("likes" not in first) for first, _ in pairs) / 800
    assert replaced == pytest.approx(0.25, abs=0.046)
    assert {"woman", "child"} <= {first.split()[1] for first, _ in pairs}


def test_pairs_are_swapped_with_a_chance_of_one_half():
    swapped = sum(first == "no word" for first, _ in _pairs(Augmentation({}, rate=0, swap=True, seed=1))) / 400
    assert swapped == pytest.approx(0.5, abs=0.075)


def test_a_row_has_one_fate_in_each_pass_seed_and_source():
    augmentation = Augmentation(SYNONYMS, rate=0.5, swap=True, seed=1)
    assert _pairs(augmentation) == _pairs(Augmentation(SYNONYMS, rate=0.5, swap=True, seed=1))
    assert _pairs(augmentation) != _pairs(augmentation, turn=1)
    assert _pairs(augmentation) != _pairs(Augmentation(SYNONYMS, rate=0.5, swap=True, seed=2))


def test_synonyms_are_mutual_and_lower_case(synonyms):
    found, sha256 = read_synonyms(synonyms)
    assert found["man"] == ["woman", "child"]
    assert (found["eats"], found["child"]) == (["likes"], ["man"])
    assert len(sha256) == 64
    synonyms.write_text("a\tb\tc\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"synonyms\.tsv:1: .* came; allowed: a word, a tab and its synonym"):
        read_synonyms(synonyms)


def test_synonyms_outside_of_the_vocabulary_are_left_out(synonyms):
    found, _ = read_synonyms(synonyms)
    assert known_synonyms(found, Tokenizer.train(["man woman tea likes"])) == {
        "man": ["woman"], "woman": ["man"], "child": ["man"], "eats": ["likes"], "nowhere": ["tea"],
    }  # fmt: skip


def _config(tiny, graded, synonyms, **settings):
    every = {"augmentation__synonyms": str(synonyms), "augmentation__synonym_rate": 0.5, "augmentation__swap": True}
    return tiny(([{"path": str(graded[0]), "weight": 2.0}], graded[1]), **every, **settings)


def test_a_batch_holds_the_ids_of_the_changed_texts(tiny, graded, synonyms):
    config = _config(tiny, graded, synonyms)
    data = read_run_data(config)
    start = build_start(config, data)
    corpus = build_corpus(config, data, start)
    plan = corpus.epoch(1)
    assert {batch.turn for batch in plan} == {2, 3}
    found, _ = read_synonyms(synonyms)
    twin = Augmentation(known_synonyms(found, start.tokenizer), rate=0.5, swap=True, seed=0)
    changed = 0
    for planned in plan:
        texts = [(data.train[0].sentences1[row], data.train[0].sentences2[row]) for row in planned.rows]
        rows = zip(texts, planned.rows, strict=True)
        expected = [twin.pair(*text, source=0, turn=planned.turn, row=row) for text, row in rows]
        changed += sum(before != after for before, after in zip(texts, expected, strict=True))
        firsts, seconds = zip(*expected, strict=True)
        assert corpus._ids(planned, planned.rows) == start.tokenizer.encode([*firsts, *seconds])
        assert corpus._ids(planned, planned.rows[1:2]) == start.tokenizer.encode(expected[1])
    assert changed > 50


def test_stopped_and_resumed_it_ends_in_the_same_bytes(tiny, graded, synonyms, run, tmp_path):
    config = _config(tiny, graded, synonyms)
    run(config, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(config, tmp_path / "broken", display=StopAfter(17, signal.SIGTERM))
    run(config, tmp_path / "broken", resume=True)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "broken")]
    assert files[0] == files[1]
    with pytest.raises(Interrupted):
        run(config, tmp_path / "other", display=StopAfter(3, signal.SIGTERM))
    synonyms.write_text("man\twoman\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="the files have changed since the run was started"):
        run(config, tmp_path / "other", resume=True)


def test_a_rate_without_synonyms_is_refused(tiny, graded):
    with pytest.raises(ConfigError, match="synonym_rate would have no effect without synonyms"):
        tiny(graded, augmentation__synonym_rate=0.5)
