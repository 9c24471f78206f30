"""Files of word vectors in each published form, whole and broken."""

import gzip
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simlstm.text import Tokenizer, VectorsError, WordVectors, initial_embedding, read_word_vectors

WORDS = ["the", "Paris", "USA", "猫"]
MATRIX = np.array([[0.5, -1.25, 2.0], [1e-3, 0.0, -7.0], [3.0, 3.5, 4.0], [-0.125, 8.0, 1.0]], dtype=np.float32)


def as_text(words, matrix, *, end="\n"):
    return "".join(
        f"{word} {' '.join(str(float(number)) for number in row)}{end}" for word, row in zip(words, matrix, strict=True)
    )


def as_binary(words, matrix, *, newline=b""):
    header = f"{len(words)} {matrix.shape[1]}\n".encode()
    return header + b"".join(
        word.encode() + b" " + row.astype("<f4").tobytes() + newline for word, row in zip(words, matrix, strict=True)
    )


GLOVE = as_text(WORDS, MATRIX).encode()
FASTTEXT = b"4 3\n" + as_text(WORDS, MATRIX, end=" \n").encode()  # fastText ends each line with a space
FORMS = {
    "glove": GLOVE,
    "glove without a last newline": GLOVE[:-1],
    "glove with crlf": GLOVE.replace(b"\n", b"\r\n"),
    "fasttext": FASTTEXT,
    "word2vec text": b"4 3\n" + GLOVE,
    "word2vec binary": as_binary(WORDS, MATRIX),
    "word2vec binary with newlines": as_binary(WORDS, MATRIX, newline=b"\n"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("limit", [None, 1, 3, 4, 99])
def test_each_form(tmp_path, form, compressed, limit):
    path = tmp_path / ("vectors.gz" if compressed else "vectors")
    path.write_bytes(gzip.compress(FORMS[form]) if compressed else FORMS[form])
    vectors = read_word_vectors(path, limit=limit)
    assert vectors.words == WORDS[:limit]
    assert vectors.matrix.dtype == torch.float32
    assert torch.equal(vectors.matrix, torch.from_numpy(MATRIX[:limit]))


FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(st.lists(FLOATS, min_size=4, max_size=4), min_size=1),
    binary=st.booleans(),
)
def test_numbers_survive(tmp_path_factory, rows, binary):
    path = tmp_path_factory.mktemp("vectors") / "file"
    matrix = np.array(rows, dtype=np.float32)
    words = [f"w{number}" for number in range(len(rows))]
    path.write_bytes(as_binary(words, matrix) if binary else as_text(words, matrix).encode())
    vectors = read_word_vectors(path)
    assert vectors.words == words
    assert torch.equal(vectors.matrix, torch.from_numpy(matrix))


def test_words_with_spaces(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_bytes(GLOVE + b". . . 1 2 3\n")
    assert read_word_vectors(path).words == [*WORDS, ". . ."]


def test_a_long_line_is_text_too(tmp_path):
    path = tmp_path / "wide.vec"
    matrix = np.linspace(-1, 1, 2 * 5000, dtype=np.float32).reshape(2, 5000)
    path.write_bytes(b"2 5000\n" + as_text(["a", "b"], matrix).encode())
    assert torch.equal(read_word_vectors(path).matrix, torch.from_numpy(matrix))


BROKEN = {
    "empty": (b"", r":1: the file is empty"),
    "blank": (b"\n\n", r":1: the file is empty"),
    "a word alone": (b"the\n", r":1: 1 fields came; allowed: a word and 1 numbers"),
    "too few numbers": (GLOVE + b"dog 1 2\n", r":5: 3 fields came; allowed: a word and 3 numbers"),
    "blank line": (GLOVE + b"\n" + GLOVE, r":5: 0 fields came"),
    "no number": (GLOVE + b"dog 1 two 3\n", r":5: could not convert string to float: b'two'"),
    "not finite": (GLOVE + b"dog 1 nan 3\n", r":5: 'dog' has a number that is not finite"),
    "too large": (GLOVE + b"dog 1 1e99 3\n", r":5: 'dog' has a number that is not finite"),
    "not utf-8": (GLOVE + b"\xff\xfe 1 2 3\n", r":5: 'utf-8' codec"),
    "fewer than promised": (b"5 3\n" + GLOVE, r": 4 vectors came; allowed: 5, as line 1 says"),
    "more than promised": (b"3 3\n" + GLOVE, r": 4 vectors came; allowed: 3"),
    "header alone": (b"2 3\n", r": word 1 of 2 is cut short"),
    "none promised": (b"0 3\n", r":1: 0 vectors of 3 numbers came"),
    "binary cut in a vector": (as_binary(WORDS, MATRIX)[:-1], r": word 4 of 4 is cut short; allowed: 12 bytes"),
    "binary cut in a word": (as_binary(WORDS, MATRIX)[:-14], r": word 4 of 4 is cut short"),
    "binary goes on": (as_binary(WORDS, MATRIX) + b"more", r": bytes follow word 4"),
    "binary not utf-8": (b"1 1\n\xff " + struct.pack("<f", 1.0), r": word 1 of 1: 'utf-8' codec"),
    "binary not finite": (b"1 1\na " + struct.pack("<f", float("inf")), r": word 1 of 1, 'a', has a number"),
    "gzip cut": (gzip.compress(GLOVE)[:-9], r": not a whole gzip file"),
    "gzip damaged": (b"\x1f\x8b" + b"x" * 50, r": not a whole gzip file"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_named(tmp_path, case):
    content, message = BROKEN[case]
    path = tmp_path / "broken.vec"
    path.write_bytes(content)
    with pytest.raises(VectorsError, match=r"broken\.vec" + message):
        read_word_vectors(path)


def test_no_file(tmp_path):
    with pytest.raises(VectorsError, match=r"absent: no such file"):
        read_word_vectors(tmp_path / "absent")


def test_limit_is_checked(tmp_path):
    with pytest.raises(ValueError, match="limit: 0 came"):
        read_word_vectors(tmp_path / "any", limit=0)


def test_the_initial_embedding_falls_back_on_case():
    tokenizer = Tokenizer.train(["the paris usa THE Usa mcdonald dog"], lowercase=False)
    # Of a word that stands twice, the first, more frequent one counts.
    words = [*WORDS, "McDonald", "THE", "the", "mcDONALD"]
    vectors = WordVectors(words, torch.from_numpy(np.vstack([MATRIX, MATRIX * 2])))
    embedding, share = initial_embedding(tokenizer, vectors, seed=1)
    vocabulary = tokenizer.vocabulary()
    expected = {"the": 0, "THE": 5, "paris": 1, "usa": 2, "Usa": 2, "mcdonald": 4}
    for token, row in expected.items():
        assert torch.equal(embedding[vocabulary[token]], vectors.matrix[row]), token
    assert share == len(expected) / len(vocabulary) == 6 / 8
    assert embedding.dtype == torch.float32


def test_other_rows_have_the_spread_of_the_covered_ones():
    tokenizer = Tokenizer.train([" ".join(f"word{number}" for number in range(4000))])
    matrix = torch.randn(100, 20, generator=torch.Generator().manual_seed(0)) * 0.3
    covered = WordVectors([f"word{number}" for number in range(100)], matrix)
    embedding, share = initial_embedding(tokenizer, covered, seed=3)
    assert share == 100 / 4001
    others = [row for token, row in tokenizer.vocabulary().items() if token not in covered.words]
    assert embedding[others].std().item() == pytest.approx(matrix.std(correction=0).item(), rel=0.02)  # 78,000 draws
    assert abs(embedding[others].mean().item()) < 0.01
    assert torch.equal(embedding, initial_embedding(tokenizer, covered, seed=3)[0])
    assert not torch.equal(embedding, initial_embedding(tokenizer, covered, seed=4)[0])


def test_no_token_covered():
    tokenizer = Tokenizer.train(["a b c"])
    embedding, share = initial_embedding(tokenizer, WordVectors(["x"], torch.tensor([[1.0, -1.0]])), seed=0)
    assert share == 0
    assert embedding.shape == (4, 2)
    assert torch.isfinite(embedding).all()
    assert embedding.std() > 0


def test_the_published_glove_file(shared_data):
    vectors = read_word_vectors(shared_data / "en" / "vectors" / "glove.300d.9910words.txt.gz")
    assert (len(vectors.words), tuple(vectors.matrix.shape)) == (9910, (9910, 300))
    assert vectors.words[:2] == ["the", "and"]
