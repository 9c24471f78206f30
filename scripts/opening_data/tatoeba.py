"""Sentence pairs of tatoeba.org, as manythings.org/anki and as the HSK Annotated Corpus publish them."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.opening_data.raw_files import read_lines
from simlstm.data.errors import DataError

_ANNOTATED = ["sentence", "translation"]


def read_pairs(files: Sequence[Path]) -> Iterator[tuple[str, ...]]:
    """Yield each English sentence with its translation, from English TAB translation [TAB attribution].

    Raises:
        DataError: A line has neither two nor three columns.
    """
    for path in files:
        for number, line in read_lines(path):
            columns = line.split("\t")
            if len(columns) not in {2, 3}:
                raise DataError(
                    f"{path}:{number}: {len(columns)} columns came; allowed: English, translation and, in newer "
                    "files, attribution, with tabs between them"
                )
            yield columns[0], columns[1]


def read_english(files: Sequence[Path]) -> Iterator[tuple[str, ...]]:
    """Yield the English side.

    Raises:
        DataError: As `read_pairs`.
    """
    for english, _ in read_pairs(files):
        yield (english,)


def read_annotated(files: Sequence[Path]) -> Iterator[tuple[str, ...]]:
    """Yield each English sentence with its translation, from CSV with the columns sentence and translation (English).

    Raises:
        DataError: The header is another one, or a row has not two columns.
    """
    for path in files:
        header_came = False
        for number, line in read_lines(path):
            row = _parse_row(path, number, line)
            if header_came:
                yield row[1], row[0]
            elif row != _ANNOTATED:
                raise DataError(f"{path}:{number}: the header {line!r} came; allowed: {','.join(_ANNOTATED)!r}")
            header_came = True


def _parse_row(path: Path, number: int, line: str) -> list[str]:
    try:
        row = next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise DataError(f"{path}:{number}: not CSV: {error}") from error
    if len(row) != len(_ANNOTATED):
        raise DataError(f"{path}:{number}: {len(row)} columns came; allowed: {' and '.join(_ANNOTATED)}")
    return row
