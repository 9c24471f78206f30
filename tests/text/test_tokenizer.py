"""The tokenizer: any string, true offsets, the same result twice."""

import json
import subprocess
import sys
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simlstm.text import Tokenizer

TEXTS = [
    "The cat doesn't sleep, it's 3.5 km away.",
    "A dog sleeps; the dogs slept well-known hours.",
    "我喜欢打篮球。他爱看电影！",
    "东京タワーは高い and the CAT is ﬁne",
    "Ⅷ ｆｕｌｌ ｗｉｄｔｈ café cafe\u0301",
]
KINDS = ["word", "character", "subword"]
# Every code point, lone surrogates too, and more of those that go wrong elsewhere.
ANY_TEXT = st.text(
    st.one_of(
        st.characters(exclude_categories=()),
        st.sampled_from("\0\ud800\udfff\u200d\ufeff\u202e\r\n ﬁ'’我タ👍🏽שا\u0301"),
    )
)


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request):
    return Tokenizer.train(TEXTS, kind=request.param)


@pytest.fixture(scope="module")
def words():
    return Tokenizer.train(TEXTS)


def tokens(tokenizer, text):
    return tokenizer.tokenize([text])[0].tokens


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(ANY_TEXT, max_size=4), max_tokens=st.one_of(st.none(), st.integers(1, 6)))
def test_any_string_is_tokenized(tokenizer, texts, max_tokens):
    results = tokenizer.tokenize(texts, max_tokens=max_tokens)
    assert tokenizer.encode(texts, max_tokens=max_tokens) == [result.ids for result in results]
    complete = tokenizer.encode(texts)
    for text, result, ids in zip(texts, results, complete, strict=True):
        assert len(result.ids) == len(result.tokens) == len(result.offsets) >= 1
        assert result.ids == ids[:max_tokens]
        assert result.truncated == (len(ids) > len(result.ids))
        assert result.unknown_ratio == result.ids.count(tokenizer.unknown_id) / len(result.ids)
        assert all(0 <= identifier < tokenizer.vocabulary_size for identifier in result.ids)
        assert all(0 <= start <= end <= len(text) for start, end in result.offsets)
        starts = [start for start, _ in result.offsets]
        assert starts == sorted(starts)


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.sampled_from("abcCAT don't我喜欢 ﬁＡタé\u0301.,3👍\0\n"), max_size=40))
def test_offsets_slice_the_original_text(tokenizer, text):
    for result in tokenizer.tokenize([text]):
        for token, (start, end) in zip(result.tokens, result.offsets, strict=True):
            if token in {"[UNK]"}:
                continue
            original = unicodedata.normalize("NFKC", text[start:end].replace("\0", "")).lower()
            piece = token.removeprefix("##")
            # A ligature's letters share its place; white space of any length is one token.
            assert piece in original or (piece == " " and original.isspace())


def test_words_are_cut_as_in_the_penn_treebank(words):
    expected = ["the", "cat", "does", "n't", "sleep", ",", "it", "'s", "3.5", "km", "away", "."]
    assert tokens(words, TEXTS[0]) == expected
    assert tokens(words, TEXTS[0].replace("'", "’")) == expected
    assert tokens(words, "well-known") == ["well", "-", "known"]


def test_chinese_and_japanese_characters_are_words(words):
    assert tokens(words, "我喜欢the篮球") == ["我", "喜", "欢", "the", "篮", "球"]
    assert tokens(words, "タワー") == ["タ", "ワ", "ー"]


def test_compatibility_forms_are_one(words):
    assert words.encode(["ＦＵＬＬ ﬁne cafe\u0301"]) == words.encode(["full fine café"])


def test_case_is_kept_on_request():
    tokenizer = Tokenizer.train(["Cat cat"], lowercase=False)
    assert tokenizer.vocabulary().keys() == {"[UNK]", "Cat", "cat"}


def test_subwords_cover_new_words():
    tokenizer = Tokenizer.train(["walking talking walked talked"] * 5, kind="subword", vocabulary_size=30)
    result = tokenizer.tokenize(["walkeding"])[0]
    assert tokenizer.unknown_id not in result.ids
    assert "".join(token.removeprefix("##") for token in result.tokens) == "walkeding"
    assert 1 < len(result.tokens) < len("walkeding")


def test_characters_keep_one_space_between_words():
    tokenizer = Tokenizer.train(TEXTS, kind="character")
    assert tokens(tokenizer, "  a\t\n cat ") == ["a", " ", "c", "a", "t"]


@pytest.mark.parametrize("text", ["", " \t\n", "\0", "\u200d\ufeff", "\ud800", "\u3000"])
def test_text_without_tokens_is_the_unknown_id_once(tokenizer, text):
    result = tokenizer.tokenize([text])[0]
    assert result.ids == [tokenizer.unknown_id]
    assert (result.tokens, result.offsets) == (["[UNK]"], [(0, 0)])
    assert (result.truncated, result.unknown_ratio) == (False, 1.0)


def test_unknown_words_are_counted(words):
    assert words.tokenize(["the zebra"])[0].unknown_ratio == 0.5


def test_the_name_of_the_unknown_token_is_text(words):
    assert tokens(words, "[UNK] cat") == ["[UNK]", "[UNK]", "[UNK]", "cat"]  # bracket, letters, bracket
    assert words.tokenize(["[UNK] cat"])[0].offsets == [(0, 1), (1, 4), (4, 5), (6, 9)]


@pytest.mark.parametrize(
    ("piece", "times"),
    [("a", 1_000_000), ("1.", 300_000), ("'", 300_000), ("我", 300_000), ("n't", 200_000), ("\u0301", 300_000)],
)
def test_a_million_characters_without_a_space(tokenizer, piece, times):
    result = tokenizer.tokenize([piece * times], max_tokens=10)[0]
    assert len(result.ids) <= 10


def test_a_word_longer_than_the_engine_takes_in_one_match(words):
    # Its limit is ten million steps, and reaching it ends in a panic, not in an exception.
    assert len(words.encode(["a" * 11_000_000], max_tokens=2)[0]) == 2


def test_no_texts(tokenizer):
    assert tokenizer.tokenize([]) == []
    assert tokenizer.encode([]) == []


def test_training_is_the_same_in_another_process():
    program = (
        "import json, sys; from simlstm.text import Tokenizer; texts, kinds = json.load(sys.stdin);"
        "json.dump([Tokenizer.train(texts, kind=kind, vocabulary_size=180).to_json() for kind in kinds], sys.stdout)"
    )
    texts = [*TEXTS, "ab ba ab ba cd dc cd dc ef fe"]  # pairs with equal counts
    command = [sys.executable, "-c", program]
    for _ in range(2):
        run = subprocess.run(command, input=json.dumps([texts, KINDS]), capture_output=True, text=True, check=True)
        assert json.loads(run.stdout) == [
            Tokenizer.train(texts, kind=kind, vocabulary_size=180).to_json() for kind in KINDS
        ]


def test_ties_at_the_limit_are_broken_by_code_point():
    tokenizer = Tokenizer.train(["d c b a", "a"], vocabulary_size=3)
    assert tokenizer.vocabulary() == {"[UNK]": 0, "a": 1, "b": 2}


def test_rare_words_get_no_token():
    assert Tokenizer.train(["a a b"], minimum_frequency=2).vocabulary() == {"[UNK]": 0, "a": 1}


def test_vocabulary_is_in_the_order_of_ids(tokenizer):
    vocabulary = tokenizer.vocabulary()
    assert list(vocabulary.values()) == list(range(tokenizer.vocabulary_size))
    assert tokenizer.unknown_id == 0


def test_json_round_trip(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer.to_json(), encoding="utf-8")
    loaded = Tokenizer.from_file(path)
    assert loaded.to_json() == tokenizer.to_json()
    assert loaded.tokenize(TEXTS) == tokenizer.tokenize(TEXTS)
    assert Tokenizer.from_json(tokenizer.to_json()).encode(TEXTS) == tokenizer.encode(TEXTS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "byte"}, "kind: 'byte'"),
        ({"segmenter": "mecab"}, "segmenter: 'mecab'"),
        ({"vocabulary_size": 1}, "vocabulary_size: 1"),
        ({"minimum_frequency": 0}, "minimum_frequency: 0"),
        ({"kind": "character", "segmenter": "jieba"}, "segmenter: 'jieba' came with kind='character'"),
        ({"kind": "subword", "vocabulary_size": 20}, "vocabulary_size: 20 came; allowed: [0-9]+ and more"),
    ],
)
def test_training_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        Tokenizer.train(TEXTS, **arguments)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("texts", [[], ["", " "], ["\ud800\0"]])
def test_training_needs_a_token(kind, texts):
    with pytest.raises(ValueError, match="texts: "):
        Tokenizer.train(texts, kind=kind)


def test_max_tokens_is_checked(words):
    for method in (words.tokenize, words.encode):
        with pytest.raises(ValueError, match="max_tokens: 0 came"):
            method(["a"], max_tokens=0)


def test_a_file_that_is_no_tokenizer(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"tokenizer\.json: tokenizer: not the JSON"):
        Tokenizer.from_file(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"tokenizer\.json: "):
        Tokenizer.from_file(path)


@pytest.mark.parametrize("kind", ["word", "character", "subword"])
def test_word_numbers_go_with_the_tokens(kind):
    tokenizer = Tokenizer.train(["the dog runs unbelievably", "一只猫在睡觉"] * 3, kind=kind, vocabulary_size=45)
    for text in ("", "The dog's unbelievable 猫在, x", "\ud800 dog", "   "):
        tokens = tokenizer.tokenize([text])[0]
        numbers = tokenizer.word_numbers(text)
        assert len(numbers) == len(tokens.ids)
        assert numbers[0] == 0
        assert all(after - before in (0, 1) for before, after in pairwise(numbers))
        assert tokenizer.word_numbers(text, max_tokens=2) == numbers[:2]
        for place in range(1, len(numbers)):
            is_piece = numbers[place] == numbers[place - 1]
            assert is_piece == tokens.tokens[place].startswith("##"), "pieces of a word, and nothing else"
    with pytest.raises(ValueError, match="max_tokens: 0 came"):
        tokenizer.word_numbers("a", max_tokens=0)


def test_texts_that_are_encoded_in_parts_are_encoded_as_one(monkeypatch):
    tokenizer = Tokenizer.train(TEXTS)
    whole = tokenizer.encode(TEXTS)
    monkeypatch.setattr("simlstm.text.tokenizer._TEXTS_AT_ONCE", 2)
    assert tokenizer.encode(TEXTS) == whole == [tokenizer.encode([text])[0] for text in TEXTS]
    assert tokenizer.encode([]) == []


@pytest.mark.parametrize("kind", ["word", "subword", "character"])
def test_what_one_character_became_is_one_word(kind):
    tokenizer = Tokenizer.train(["half a cup of office tea"], kind=kind)
    text = "½ cup \ufdfa oﬃce ㎏"
    offsets = tokenizer.tokenize([text])[0].offsets
    numbers = tokenizer.word_numbers(text)
    ends = {}
    for number, (start, end) in zip(numbers, offsets, strict=True):
        assert start >= max((ends[word] for word in ends if word != number), default=0), "no two words overlap"
        ends[number] = max(end, ends.get(number, 0))
    assert numbers[-1] == (13 if kind == "character" else 4)
