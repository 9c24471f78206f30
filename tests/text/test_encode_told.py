"""Ids with what was cut and what is unknown: what `tokenize` says, without reading all of a text far too long."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simlstm.text.tokenizer import Tokenizer

SENTENCES = ["A man is playing a guitar.", "unbelievable players play", "今天天气很好。", "How do I reset my password?"]
TOKENIZERS = {kind: Tokenizer.train(SENTENCES * 3, kind=kind) for kind in ("word", "subword", "character")}
PIECES = st.sampled_from(
    ["man", "unbelievably", " ", "  ", "天", "guitar.", "\x00", "\ufdfa", "x" * 120, "é", "\ud83d"]
)


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(st.lists(PIECES, max_size=12).map("".join), st.integers(1, 400))
@settings(max_examples=40, deadline=None)
def test_a_long_text_gives_what_reading_all_of_it_gives(kind, piece, repetitions):
    tokenizer = TOKENIZERS[kind]
    text = piece * repetitions
    whole = tokenizer.tokenize([text], max_tokens=9)[0]
    told = tokenizer.encode_told([text], max_tokens=9)[0]
    assert (told.ids, told.truncated, told.unknown_ratio) == (whole.ids, whole.truncated, whole.unknown_ratio)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_either_end_can_be_kept(kind):
    tokenizer = TOKENIZERS[kind]
    text = "a man is playing a guitar " * 500 + "how do i reset my password"
    everything = tokenizer.encode([text])[0]
    assert tokenizer.encode_told([text], max_tokens=7)[0].ids == everything[:7]
    assert tokenizer.encode_told([text], max_tokens=7, keep="end")[0].ids == everything[-7:]
    (untouched,) = tokenizer.encode_told([text])
    assert (untouched.ids, untouched.truncated) == (everything, False)
