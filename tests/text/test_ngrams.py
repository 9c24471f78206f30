"""Vectors of unknown words from the n-grams of known ones."""

import pytest
import torch

from simlstm.text import ngrams
from simlstm.text.ngrams import vectors_from_ngrams
from simlstm.text.tokenizer import Tokenizer
from simlstm.text.vectors import WordVectors, initial_embedding

PARTS = ["bala", "cedi", "fogu", "hiju", "kamo", "nepu", "rusi", "tevo"]


@pytest.fixture
def language():
    """Return words of two parts each, whose vectors are the sums of their parts'."""
    generator = torch.Generator().manual_seed(0)
    meaning = {part: torch.randn(12, generator=generator) for part in PARTS}
    return {a + b: meaning[a] + meaning[b] for a in PARTS for b in PARTS}


def _split(language, every=5):
    held_out = list(language)[::every]
    known = [word for word in language if word not in held_out]
    return known, torch.stack([language[word] for word in known]), held_out


def test_words_of_known_parts_come_near_to_their_own_vectors(language):
    known, matrix, held_out = _split(language)
    guesses, found = vectors_from_ngrams(known, matrix, held_out)
    assert found.all()
    own = torch.stack([language[word] for word in held_out])
    near = torch.cosine_similarity(guesses, own)
    assert near.min() > 0.8
    assert near.mean() > torch.cosine_similarity(guesses, own.roll(1, 0)).mean() + 0.5


def test_the_n_grams_are_those_between_the_marks():
    assert ngrams._ngrams("Ab") == ["<ab", "ab>", "<ab>"]
    assert ngrams._ngrams("a") == ["<a>"]
    assert len(ngrams._ngrams("abcdef")) == 6 + 5 + 4 + 3


def test_the_solution_is_that_of_the_normal_equations(language, monkeypatch):
    monkeypatch.setattr(ngrams, "_STEPS", 300)
    known, matrix, held_out = _split(language)
    guesses, _ = vectors_from_ngrams(known, matrix.double(), held_out)
    counts = {}
    for word in known:
        for gram in set(ngrams._ngrams(word)):
            counts[gram] = counts.get(gram, 0) + 1
    ids = {gram: number for number, gram in enumerate(gram for gram, count in counts.items() if count > 1)}

    def shares(words):
        table = torch.zeros(len(words), len(ids), dtype=torch.float64)
        for row, word in enumerate(words):
            own = [ids[gram] for gram in ngrams._ngrams(word) if gram in ids]
            for number in own:
                table[row, number] += 1 / len(own)
        return table

    table, mean = shares(known), matrix.double().mean(0)
    ridge = ngrams._RIDGE * torch.eye(len(ids), dtype=torch.float64)
    solved = torch.linalg.solve(table.T @ table + ridge, table.T @ (matrix.double() - mean))
    # The other side is float32, over sums of some hundred terms.
    torch.testing.assert_close(guesses.double(), mean + shares(held_out) @ solved, rtol=1e-3, atol=1e-3)


def test_words_without_a_known_n_gram_are_told_apart(language):
    known, matrix, _ = _split(language)
    guesses, found = vectors_from_ngrams(known, matrix, ["zzzz", known[0] + "zz", "x"])
    assert found.tolist() == [False, True, False]
    torch.testing.assert_close(guesses[0], matrix.mean(0))
    nothing, found = vectors_from_ngrams(["ab", "cd"], matrix[:2], ["ef"])
    assert not found.any()
    assert nothing.shape == (1, 12)
    assert vectors_from_ngrams(known, matrix, [])[0].shape == (0, 12)


def test_the_embedding_starts_from_them_and_the_rest_is_as_before(language):
    known, matrix, held_out = _split(language)
    tokenizer = Tokenizer.train([" ".join([*known, *held_out, "zzzz"])])
    vectors = WordVectors(known, matrix)
    plain, covered = initial_embedding(tokenizer, vectors, seed=3)
    table, same = initial_embedding(tokenizer, vectors, seed=3, unknown="ngrams")
    assert covered == same
    vocabulary = tokenizer.vocabulary()
    guesses, _ = vectors_from_ngrams(known, matrix, held_out)
    for word, guess in zip(held_out, guesses, strict=True):
        torch.testing.assert_close(table[vocabulary[word]], guess)
    for token in [*known, "zzzz", "[UNK]"]:
        assert torch.equal(table[vocabulary[token]], plain[vocabulary[token]])
    again, _ = initial_embedding(tokenizer, vectors, seed=3, unknown="ngrams")
    assert torch.equal(again, table)
