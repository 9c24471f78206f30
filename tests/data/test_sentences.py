"""Sentences without labels, from texts, pair files and translations."""

import gzip

import pytest

from simlstm.data.errors import DataError
from simlstm.data.sentences import read_sentences, read_translations


def _write(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.pos", "corpus"])
def test_a_text_has_one_sentence_a_line(tmp_path, name):
    content = "\ufeffone, two\r\n\r\n three \none, two\n四\t五".encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    data = read_sentences(path)
    assert data.sentences == data.taught == ["one, two", "three", "四\t五"]
    assert len(data) == 3
    assert data.name.endswith(f"/{name}")


def test_the_distinct_sentences_of_pairs_are_taken(tmp_path):
    path = _write(
        tmp_path / "graded.tsv", "source\tscore\tsentence1\tsentence2", "x\t1\ta\tb", "y\t0\tb\tc", "x\t0\ta\td"
    )
    assert read_sentences(path).sentences == ["a", "b", "c", "d"] or set(read_sentences(path).sentences) == set("abcd")
    assert set(read_sentences(path, collections=["x"]).sentences) == {"a", "b", "d"}
    assert len(read_sentences("demo:en:dev")) > 50


def test_a_txt_of_tab_separated_pairs_is_a_table(tmp_path):
    path = _write(
        tmp_path / "sick.txt", "pair_ID\tsentence_A\tsentence_B\trelatedness_score", "1\ta\tb\t3", "2\tc\tb\t4"
    )
    assert set(read_sentences(path).sentences) == {"a", "b", "c"}


def test_what_cannot_be_a_text_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"none\.txt: no such file"):
        read_sentences(tmp_path / "none.txt")
    with pytest.raises(DataError, match=r"empty\.txt:1: the file is empty; allowed: 1 sentence and more"):
        read_sentences(_write(tmp_path / "empty.txt", " "))
    with pytest.raises(ValueError, match="columns, sources: came with a text"):
        read_sentences(_write(tmp_path / "a.txt", "a"), collections=["x"])
    (tmp_path / "b.txt.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match=r"b\.txt\.gz: not a whole gzip file"):
        read_sentences(tmp_path / "b.txt.gz")
    (tmp_path / "c.txt").write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"c\.txt: byte 0 is no UTF-8"):
        read_sentences(tmp_path / "c.txt")


def test_translations_in_one_file_or_line_by_line_in_two(tmp_path):
    one = _write(tmp_path / "pairs.tsv", "sentence1\tsentence2", "tea\t茶", "tea\t茶", "apple\t苹果")
    data = read_translations(one)
    assert (data.taught, data.sentences) == (["tea", "apple"], ["茶", "苹果"])
    english = _write(tmp_path / "stsb-en.csv", "tea,apple,3.5", "tea,dog,1")
    chinese = _write(tmp_path / "stsb-zh.csv", "茶,苹果,3.5", "茶,狗,1")
    data = read_translations(english, chinese)
    assert list(zip(data.taught, data.sentences, strict=True)) == [("tea", "茶"), ("apple", "苹果"), ("dog", "狗")]
    _write(english, "tea,apple,3.5")
    with pytest.raises(DataError, match=r"zh\.csv: 2 pairs came; allowed: 1, each the translation of one of"):
        read_translations(english, chinese)


def test_the_scores_of_a_file_whose_sentences_are_read_need_no_range(tmp_path):
    english = _write(tmp_path / "mine.csv", "sentence1,sentence2,score", "tea,apple,4.5", "tea,dog,0.5")
    assert read_sentences(english).sentences == ["tea", "apple", "dog"]
    chinese = _write(tmp_path / "ours.csv", "sentence1,sentence2,score", "茶,苹果,4.5", "茶,狗,0.5")
    assert read_translations(english, chinese).sentences == ["茶", "苹果", "狗"]
