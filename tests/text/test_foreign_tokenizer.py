"""Tokenizers that others trained: no special tokens, no padding, no truncation of their own."""

import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors

from simlstm.text import Tokenizer

UNKNOWN = "[UNK]"
VOCABULARY = {"[PAD]": 0, UNKNOWN: 1, "[CLS]": 2, "[SEP]": 3, "hello": 4, "wor": 5, "##ld": 6, "[": 7, "]": 8, "cls": 9}


def bert(vocabulary=VOCABULARY):
    """Build a tokenizer as sentence encoders ship it: special tokens, truncation to 4, padding to 8."""
    tokenizer = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=8)
    return tokenizer


@pytest.fixture
def tokenizer():
    return Tokenizer.from_json(bert().to_str())


def test_neither_special_tokens_nor_padding_nor_truncation(tokenizer):
    result = tokenizer.tokenize(["Hello world hello world"])[0]
    assert result.tokens == ["hello", "wor", "##ld", "hello", "wor", "##ld"]
    assert not result.truncated
    assert tokenizer.encode(["hello", ""]) == [[4], [1]]


def test_text_that_spells_a_special_token_is_text(tokenizer):
    assert tokenizer.tokenize(["[CLS] hello"])[0].tokens == ["[", "cls", "]", "hello"]


def test_the_unknown_token_is_the_models_own(tokenizer):
    assert tokenizer.unknown_id == 1
    assert tokenizer.tokenize(["\ud800 zzz"])[0].ids == [1]
    assert tokenizer.vocabulary_size == 10


def test_gaps_in_the_ids_are_rows_too():
    tokenizer = Tokenizer.from_json(bert({**VOCABULARY, "late": 20}).to_str())
    assert tokenizer.vocabulary_size == 21
    assert tokenizer.encode(["late"]) == [[20]]


def test_stored_and_loaded_again(tokenizer):
    again = Tokenizer.from_json(tokenizer.to_json())
    assert again.to_json() == tokenizer.to_json()
    assert again.encode(["hello [SEP]"]) == tokenizer.encode(["hello [SEP]"])


def test_unigram_names_its_unknown_token_by_number():
    backend = tokenizers.Tokenizer(models.Unigram([("a", -1.0), ("<unk>", -2.0)], unk_id=1))
    assert Tokenizer.from_json(backend.to_str()).unknown_id == 1


def test_byte_level_models_use_the_end_of_text():
    backend = tokenizers.Tokenizer(models.BPE({"a": 0, "<|endoftext|>": 1}, []))
    assert Tokenizer.from_json(backend.to_str()).unknown_id == 1


def test_without_an_unknown_token():
    backend = tokenizers.Tokenizer(models.BPE({"a": 0}, []))
    with pytest.raises(ValueError, match="no unknown token"):
        Tokenizer.from_json(backend.to_str())
