"""Sentences without labels, to be learned from a teacher: a text, the sentences of a pair file, or translations."""

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from simlstm.data.errors import DataError
from simlstm.data.formats import Columns, read_pairs
from simlstm.data.pairs import PairData
from simlstm.data.tables import SHAPES


@dataclass(frozen=True)
class SentenceData:
    """Sentences, and what a teacher reads in place of each.

    Attributes:
        name: Where they come from, for people.
        sentences: What the student reads.
        taught: What the teacher reads, one text for each sentence: the sentence itself, or its translation.
        sha256: Of the bytes of the files, in hexadecimal.
    """

    name: str
    sentences: list[str]
    taught: list[str]
    sha256: str

    def __len__(self) -> int:
        """Return the number of sentences."""
        return len(self.sentences)


def read_sentences(
    source: str | Path, *, columns: Columns | None = None, collections: Sequence[str] | None = None
) -> SentenceData:
    """Read the distinct sentences of a text, or of a file of pairs, in the order of their first appearance.

    A file whose extension no pair format has (but for ``.gz``), and a ``.txt`` without a tab in its first line, is a
    text with one sentence a line; anything else is read by `read_pairs`.

    Args:
        source: The file, or a part of the demo corpus.
        columns: As in `read_pairs`.
        collections: Keep the pairs that were taken from these; None keeps all.

    Raises:
        DataError: The file cannot be read; the message names file and line.
        ValueError: The arguments contradict each other or the file.
    """
    if not str(source).startswith("demo:") and (text := _text_of(Path(source))) is not None:
        if columns is not None or collections is not None:
            raise ValueError("columns, sources: came with a text of one sentence a line; allowed: neither")
        path = Path(source)
        lines = [line.strip() for line in text.replace("\r\n", "\n").split("\n")]
        sentences = list(dict.fromkeys(line for line in lines if line))
        if not sentences:
            raise DataError(f"{path}:1: the file is empty; allowed: 1 sentence and more")
        name = "/".join(part for part in (path.parent.name, path.name) if part)
        return SentenceData(name, sentences, sentences, hashlib.sha256(path.read_bytes()).hexdigest())
    pairs = read_pairs(source, columns=columns, labelled=False)
    pairs = pairs if collections is None else pairs.of_sources(collections)
    sentences = list(dict.fromkeys(chain(pairs.sentences1, pairs.sentences2)))
    return SentenceData(pairs.name, sentences, sentences, pairs.sha256)


def is_text(source: str | Path) -> bool:
    """Tell whether a file is a text of one sentence a line, as `read_sentences` does.

    Raises:
        DataError: The file cannot be read.
    """
    return not str(source).startswith("demo:") and _text_of(Path(source)) is not None


def read_translations(
    source: str | Path, translation: str | Path | None = None, *, columns: Columns | None = None
) -> SentenceData:
    """Read sentences and their translations: the teacher reads the first language, the student the second.

    Args:
        source: A file with the columns sentence1 (for the teacher) and sentence2 (for the student); or, with
            `translation`, a pair file in the teacher's language.
        translation: The same pair file in the student's language, line by line.
        columns: Names of the columns, where they are others; with `translation`, of both files.

    Raises:
        DataError: A file cannot be read, or the two differ in length.
        ValueError: The arguments contradict each other.
    """
    if translation is None:
        pairs = read_pairs(source, columns=columns or Columns("sentence1", "sentence2"), labelled=False)
        return _distinct(pairs.name, pairs.sentences1, pairs.sentences2, pairs.sha256)
    first, second = (read_pairs(path, columns=columns, labelled=False) for path in (source, translation))
    if len(first) != len(second):
        raise DataError(
            f"{translation}: {len(second)} pairs came; allowed: {len(first)}, each the translation of one of {source}"
        )
    sha256 = hashlib.sha256(f"{first.sha256} {second.sha256}".encode()).hexdigest()
    name = f"{first.name} to {second.name}"
    return _distinct(name, _both_sides(first), _both_sides(second), sha256)


def _both_sides(pairs: PairData) -> list[str]:
    return [*pairs.sentences1, *pairs.sentences2]


def _distinct(name: str, taught: Sequence[str], sentences: Sequence[str], sha256: str) -> SentenceData:
    """Keep each translation of each sentence once."""
    both = list(dict.fromkeys(zip(taught, sentences, strict=True)))
    return SentenceData(name, [sentence for _, sentence in both], [text for text, _ in both], sha256)


def _text_of(path: Path) -> str | None:
    """Return the content of a file that is a text; None for a table."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    is_gzip = bool(suffixes) and suffixes[-1] == ".gz"
    suffix = "".join(suffixes[:-1] if is_gzip else suffixes)[-9:]
    suffix = "." + suffix.rpartition(".")[2]
    if suffix in SHAPES and suffix != ".txt":
        return None
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    content = path.read_bytes()
    try:
        text = (gzip.decompress(content) if is_gzip else content).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file: {error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is no UTF-8 text") from error
    return None if suffix == ".txt" and "\t" in text.partition("\n")[0] else text
