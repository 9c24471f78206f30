"""Chinese words from jieba, in place of single characters."""

import json
import sys

import pytest

from simlstm.text import Tokenizer, segmentation

pytest.importorskip("jieba")

TEXTS = ["我喜欢打篮球，不喜欢下雨天", "He doesn't like 篮球 or 电影院", "今天下雨天"]


@pytest.fixture(scope="module", params=["word", "subword"])
def tokenizer(request):
    return Tokenizer.train(TEXTS, kind=request.param, segmenter="jieba")


def test_words_not_characters(tokenizer):
    text = "我 喜欢看电影, doesn't"
    result = tokenizer.tokenize([text])[0]
    assert [text[start:end] for start, end in result.offsets][:2] == ["我", "喜欢"]
    assert "".join(text[start:end] for start, end in result.offsets) == text.replace(" ", "")
    assert result.tokens[-3:] == [",", "does", "n't"]


def test_offsets_stay_right_behind_full_width_letters_and_emoji(tokenizer):
    text = "ＨＥ👍🏽\0喜欢\ud800篮球"
    result = tokenizer.tokenize([text])[0]
    pieces = [text[start:end] for start, end in result.offsets]
    assert pieces[0] == "ＨＥ"
    assert pieces[-2:] == ["喜欢", "篮球"]


def test_the_stored_form_loads_with_and_without_jieba(tokenizer):
    stored = tokenizer.to_json()
    assert "jieba" not in stored
    assert json.loads(stored)["pre_tokenizer"]["type"] == "Split"
    again = Tokenizer.from_json(stored, segmenter="jieba")
    assert again.segmenter == "jieba"
    assert again.to_json() == stored
    assert again.tokenize(TEXTS) == tokenizer.tokenize(TEXTS)
    plain = Tokenizer.from_json(stored)
    assert plain.segmenter == "none"
    assert [end - start for start, end in plain.tokenize(["喜欢篮球"])[0].offsets] == [1, 1, 1, 1]


def test_training_twice_gives_one_tokenizer(tokenizer):
    kind = "subword" if any(token.startswith("##") for token in tokenizer.vocabulary()) else "word"
    assert Tokenizer.train(TEXTS, kind=kind, segmenter="jieba").to_json() == tokenizer.to_json()


def test_long_runs(tokenizer):
    text = "喜欢篮球" * 5000
    result = tokenizer.tokenize([text])[0]
    assert result.offsets[-1][1] == len(text)


def test_without_jieba_the_error_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "jieba", None)
    monkeypatch.setattr(segmentation, "_load_jieba", segmentation._load_jieba.__wrapped__)
    with pytest.raises(ImportError, match=r'pip install "simlstm\[train\]"'):
        Tokenizer.train(TEXTS, segmenter="jieba")
