"""Texts with one sentence a line, such as Common Voice's sentence files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.opening_data.raw_files import read_lines


def read_sentences(files: Sequence[Path]) -> Iterator[tuple[str, ...]]:
    """Yield each line that is not blank.

    Raises:
        DataError: A line is no UTF-8 text.
    """
    for path in files:
        for _, line in read_lines(path):
            yield (line,)
