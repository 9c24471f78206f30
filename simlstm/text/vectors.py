"""Pretrained word vectors: GloVe and fastText text, word2vec binary; and the initial embedding made of them."""

import gzip
import logging
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from simlstm.text.ngrams import vectors_from_ngrams
from simlstm.text.token_table import read_token_table
from simlstm.text.tokenizer import Tokenizer

__all__ = ["VectorsError", "WordVectors", "initial_embedding", "read_token_table", "read_word_vectors"]

logger = logging.getLogger(__name__)

_HEADER = re.compile(rb"(\d{1,12}) (\d{1,6})\s*\n")
_MOST_BYTES = 1 << 20  # of one line or word; a longer one is no vector file


class VectorsError(ValueError):
    """A file of vectors is malformed; the message names the file and the line or word."""


@dataclass(frozen=True)
class WordVectors:
    """Words with a vector each.

    Attributes:
        words: V words, in the order of the file (as a rule the most frequent first).
        matrix: [V, I] float32.
    """

    words: list[str]
    matrix: Tensor


def read_word_vectors(path: str | Path, *, limit: int | None = None) -> WordVectors:
    """Read GloVe text, fastText or word2vec text (a line "V I" first), or word2vec binary, each also compressed (gzip).

    The content tells which it is, not the name.

    Args:
        path: The file.
        limit: Read the first so many vectors only; None reads all.

    Raises:
        VectorsError: The file is missing, empty, cut short or malformed.
        ValueError: The limit is below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit: {limit} came; allowed: 1 and more, or None")
    path = Path(path)
    with _open(path) as stream:
        first_line = stream.readline(_MOST_BYTES)
        header = _HEADER.fullmatch(first_line)
        if header is None:
            if not first_line.strip():
                raise VectorsError(f"{path}:1: the file is empty; allowed: 1 vector and more")
            size = len(first_line.split()) - 1
            return _read_text(path, stream, first_line, size=size, promised=None, limit=limit)
        promised, size = int(header[1]), int(header[2])
        if not promised or not size:
            raise VectorsError(f"{path}:1: {promised} vectors of {size} numbers came; allowed: 1 and more of both")
        second = stream.read(_MOST_BYTES)
        stream.seek(len(first_line))
        if _is_text(second, size):
            return _read_text(path, stream, b"", size=size, promised=promised, limit=limit)
        return _read_binary(path, stream, size=size, promised=promised, limit=limit)


def initial_embedding(
    tokenizer: Tokenizer, vectors: WordVectors, *, seed: int, unknown: Literal["random", "ngrams"] = "random"
) -> tuple[Tensor, float]:
    """Build the embedding that a model starts from: the vectors of the known tokens, a guess for the rest.

    A token is looked up as it is, then in lower case, capitalised and in upper case, then in any case. Other rows are
    normal with mean 0 and the standard deviation of the covered rows (of all vectors, when none is covered).

    Args:
        tokenizer: Its vocabulary names the rows.
        vectors: Pretrained vectors.
        seed: Of the other rows.
        unknown: ``ngrams`` starts a word without a vector from its character n-grams, where words with a vector share
            any; see `simlstm.text.ngrams.vectors_from_ngrams`. ``random`` leaves all of them to chance.

    Returns:
        The embedding, [vocabulary, I] float32, and the share of the vocabulary that the vectors cover.
    """
    exact: dict[str, int] = {}
    folded: dict[str, int] = {}
    for position, word in enumerate(vectors.words):
        exact.setdefault(word, position)
        folded.setdefault(word.lower(), position)

    def find(token: str) -> int | None:
        for form in (token, token.lower(), token.capitalize(), token.upper()):
            if form in exact:
                return exact[form]
        return folded.get(token.lower())

    vocabulary = tokenizer.vocabulary()
    rows = {identifier: row for token, identifier in vocabulary.items() if (row := find(token)) is not None}
    covered = vectors.matrix[list(rows.values())].float()
    deviation = float((covered if covered.numel() else vectors.matrix.float()).std(correction=0))
    generator = torch.Generator().manual_seed(seed)
    embedding = torch.randn(tokenizer.vocabulary_size, vectors.matrix.shape[1], generator=generator) * deviation
    embedding[list(rows)] = covered
    if unknown == "ngrams":
        others = {token: row for token, row in vocabulary.items() if row not in rows and row != tokenizer.unknown_id}
        guesses, found = vectors_from_ngrams(vectors.words, vectors.matrix, list(others))
        embedding[torch.tensor(list(others.values()), dtype=torch.int64)[found]] = guesses[found]
        logger.info("%d of %d words without a vector start from character n-grams", int(found.sum()), len(others))
    return embedding, len(rows) / len(vocabulary)


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    if not path.is_file():
        raise VectorsError(f"{path}: no such file")
    with path.open("rb") as raw:
        compressed = raw.peek(2)[:2] == b"\x1f\x8b"
        try:
            yield cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if compressed else raw
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise VectorsError(f"{path}: not a whole gzip file: {error}") from error


def _is_text(start: bytes, size: int) -> bool:
    """Tell text from binary by what follows the header: a word and ``size`` numbers, all printable."""
    word, *numbers = start.split(b"\n", 1)[0].split(b" ")
    try:
        word.decode()
        [float(number) for number in numbers[:size]]
    except ValueError:
        return False
    return bool(numbers)


def _read_text(
    path: Path, stream: BinaryIO, first_line: bytes, *, size: int, promised: int | None, limit: int | None
) -> WordVectors:
    words: list[str] = []
    rows: list[npt.NDArray[np.float32]] = []
    line, number = (first_line, 1) if first_line else (stream.readline(_MOST_BYTES), 2)
    while line and (limit is None or len(words) < limit):
        word, row = _parse_line(path, number, line, size)
        words.append(word)
        rows.append(row)
        line, number = stream.readline(_MOST_BYTES), number + 1
    if promised is not None and (len(words) > promised or (not line and len(words) < promised)):
        raise VectorsError(f"{path}: {len(words)} vectors came; allowed: {promised}, as line 1 says")
    return WordVectors(words, torch.from_numpy(np.stack(rows)))


def _parse_line(path: Path, number: int, line: bytes, size: int) -> tuple[str, npt.NDArray[np.float32]]:
    # GloVe's 840B file has words with spaces in them (". . ."): the numbers are counted from the end.
    fields = line.rstrip().rsplit(b" ", size)
    if size < 1 or len(fields) != size + 1 or not fields[0]:
        raise VectorsError(
            f"{path}:{number}: {len(line.split())} fields came; allowed: a word and {max(size, 1)} numbers"
        )
    try:
        word = fields[0].decode()
        with np.errstate(over="ignore"):  # found below, with its word
            row = np.array([float(field) for field in fields[1:]], dtype=np.float32)
    except ValueError as error:
        raise VectorsError(f"{path}:{number}: {error}; allowed: a UTF-8 word and {size} numbers") from error
    if not np.isfinite(row).all():
        raise VectorsError(f"{path}:{number}: {word!r} has a number that is not finite as float32")
    return word, row


def _read_binary(path: Path, stream: BinaryIO, *, size: int, promised: int, limit: int | None) -> WordVectors:
    count = promised if limit is None else min(promised, limit)
    words: list[str] = []
    rows: list[npt.NDArray[np.float32]] = []
    for number in range(1, count + 1):
        word = bytearray()
        while (byte := stream.read(1)) != b" ":
            if not byte or len(word) > _MOST_BYTES:
                raise VectorsError(
                    f"{path}: word {number} of {promised} is cut short; allowed: as many as the header says"
                )
            word += byte
        row = stream.read(4 * size)
        if len(row) < 4 * size:
            raise VectorsError(f"{path}: word {number} of {promised} is cut short; allowed: {4 * size} bytes a vector")
        try:
            words.append(word.lstrip(b"\n").decode())
        except UnicodeDecodeError as error:
            raise VectorsError(f"{path}: word {number} of {promised}: {error}; allowed: UTF-8") from error
        rows.append(np.frombuffer(row, dtype="<f4"))
        if not np.isfinite(rows[-1]).all():
            raise VectorsError(f"{path}: word {number} of {promised}, {words[-1]!r}, has a number that is not finite")
    if count == promised and stream.read(_MOST_BYTES).strip():
        raise VectorsError(f"{path}: bytes follow word {promised}; allowed: as many words as the header says")
    return WordVectors(words, torch.from_numpy(np.stack(rows).astype(np.float32)))
