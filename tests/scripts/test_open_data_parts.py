"""The parts of ``simlstm open-data``: cleaning, choosing, and the two formats that hold more than texts."""

import hashlib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.opening_data.cedict import read_glosses, senses
from scripts.opening_data.cleaning import clean, is_chinese, is_english
from scripts.opening_data.collection import Collection
from scripts.opening_data.plain_text import read_sentences
from scripts.opening_data.wordnet import split_gloss


@given(st.text())
def test_clean_texts_are_one_visible_line_in_nfc(text):
    cleaned = clean(text)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not {unicodedata.category(character) for character in cleaned} & {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
    assert cleaned == " ".join(cleaned.split())
    assert clean(cleaned) == cleaned


def test_cleaning_keeps_words_apart_and_composes_letters():
    assert clean(" a\tkite\u2028flies\u00a0\x00\u200b\ufeff ") == "a kite flies"
    assert clean("cafe\u0301") == "café"
    assert clean("e\u200b\u0301") == "é"


def test_bounds_of_length():
    assert is_english(" ".join(["kite"] * 64))
    assert not is_english(" ".join(["kite"] * 65))
    assert is_english("7 ?")
    assert not is_english("? !")
    assert not is_english("")
    assert is_english("a b c", min_words=3, max_words=3)
    assert not is_english("a b", min_words=3)
    assert not is_english("a b c d", max_words=3)
    assert is_chinese("风" * 90)
    assert not is_chinese("风" * 91)
    assert not is_chinese("kite。")
    assert is_chinese("3D风筝")
    assert is_chinese("\U00020000")


@pytest.mark.parametrize(
    ("glosses", "expected"),
    [
        ("paper kite; toy kite/to fly", ["paper kite", "toy kite", "to fly"]),
        ('to shout "up; up"; loud', ['to shout "up; up"', "loud"]),
        ("kite (old (rare; dialect)), toy", ["kite, toy"]),
        ("(sth) broken ( note", []),
        ("lit. to fly low; fig. to be modest/lit. and fig. high", ["to fly low", "to be modest", "high"]),
        ("CL:隻|只[zhi1],個|个[ge4]", []),
        ("old variant of 鳶|鸢[yuan1]/variant of Kiteshan, a hill", []),
        ("see 風箏|风筝[feng1 zheng5]/see also 風/see also: wind/see Kite Hill/see the light", ["see the light"]),
        ("abbr. for 紙風箏|纸风筝[zhi3 feng1 zheng5]/abbr. for Kite Club/abbr. of idiom", ["Kite Club"]),
        ("surname Feng/two-character surname Ouyang/Taiwan pr. [yuan2]/also pr. [yuan3]", []),
        ("used in 風箏|风筝[feng1 zheng5]/also written 風/風|风[feng1] blows", []),
        ("Kitecun, village in Anhui 安徽[An1 hui1]", ["Kitecun, village in Anhui"]),
        ("Hill district of Kite City 鳶市|鸢市[Yuan1 shi4], Hubei", ["Hill district of Kite City, Hubei"]),
    ],
)
def test_senses(glosses, expected):
    assert list(senses(glosses)) == expected


def test_forms_of_an_entry(tmp_path):
    path = tmp_path / "cedict_ts.u8"
    path.write_text("風 风 [feng1] /wind/\n紙鳶 纸鸢 [[zhi3yuan1]] /kite/\n山 山 [shan1] /hill/\n", encoding="utf-8")
    assert list(read_glosses([path])) == [("wind", "风"), ("kite", "纸鸢"), ("kite", "紙鳶"), ("hill", "山")]


@pytest.mark.parametrize(
    ("gloss", "expected"),
    [
        ('a toy; "it flies"; "it; falls"- A. Author', ("a toy", ["it flies", "it; falls"])),
        ("a toy that flies; usually of paper", ("a toy that flies; usually of paper", [])),
        ('go up, "It rose"', ("go up", ["It rose"])),
        ('go down:"It fell" (or "sank")', ("go down", ["It fell", "sank"])),
        ('be light; e.g., "it floats"', ("be light", ["it floats"])),
        ('the cry "up" of a child', ('the cry "up" of a child', [])),
        ('a saying (as, "up, up") of old', ('a saying (as, "up, up") of old', [])),
        ('a toy; "unclosed', ("a toy; unclosed", [])),
    ],
)
def test_glosses_of_wordnet(gloss, expected):
    assert split_gloss(gloss) == expected


def _collection(**changes):
    facts = dict.fromkeys(("name", "title", "publisher", "home", "licence", "purpose"), "x")
    return Collection(**facts, raw=("x",), read=read_sentences, **changes)


def test_the_choice_depends_on_the_texts_and_not_on_their_order(tmp_path):
    texts = [f"kite number {number}" for number in range(200)]
    chosen = []
    for name, lines in (("up.txt", texts), ("down.txt", texts[::-1])):
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
        chosen.append(_collection(at_most=50).rows([tmp_path / name]))
    expected = sorted(texts, key=lambda text: hashlib.sha256(text.encode()).hexdigest())[:50]
    assert {text for (text,) in chosen[0]} == set(expected)
    assert chosen[0] == chosen[1][::-1]
    assert [text for (text,) in chosen[0]] == [text for text in texts if text in expected]


def test_raw_files_are_found_by_any_of_their_names(tmp_path):
    single = Collection(**{**vars(_collection()), "raw": ("a.txt", "b.txt")})
    assert single.find(tmp_path) is None
    (tmp_path / "b.txt").write_text("kite")
    assert single.find(tmp_path) == [tmp_path / "b.txt"]
    folder = Collection(**{**vars(single), "raw": ("d",), "parts": ("*.txt",), "preferred": "train"})
    assert folder.find(tmp_path) is None
    for name in ("d/2.txt", "d/1.txt", "d/train/3.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("kite")
    assert folder.find(tmp_path) == [tmp_path / "d/train/3.txt"]
    (tmp_path / "d/train/3.txt").unlink()
    (tmp_path / "d/train").rmdir()
    assert folder.find(tmp_path) == [tmp_path / "d/1.txt", tmp_path / "d/2.txt"]
