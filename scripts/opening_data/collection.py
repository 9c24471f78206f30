"""A public collection: what it is, where its raw files lie, and how rows come out of them."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.opening_data.cleaning import MAX_WORDS, clean, is_chinese, is_english
from simlstm.data.errors import DataError


@dataclass(frozen=True)
class Collection:
    """One collection.

    Attributes:
        name: Of the file that is written, without extension.
        title: The official one.
        publisher: Who offers it.
        home: The publisher's page.
        licence: As the publisher states it.
        purpose: What the recipes take it for.
        raw: Names that the raw file or folder may have; the first is the documented one.
        read: Yields rows from the raw files: ``(English,)`` or ``(English, Chinese)``, as they stand there.
        is_translation: Whether rows are pairs.
        parts: Patterns of the files in a raw folder, in the order that counts; all must be there.
        preferred: A folder in the raw one that is taken in its place when it is there.
        min_words: Shortest English text.
        max_words: Longest English text.
        at_most: Rows that are kept, chosen by their hash; None for all.
    """

    name: str
    title: str
    publisher: str
    home: str
    licence: str
    purpose: str
    raw: tuple[str, ...]
    read: Callable[[Sequence[Path]], Iterator[tuple[str, ...]]]
    is_translation: bool = False
    parts: tuple[str, ...] = ()
    preferred: str | None = None
    min_words: int = 1
    max_words: int = MAX_WORDS
    at_most: int | None = None

    @property
    def file_name(self) -> str:
        """Return the name of the file that is written."""
        return f"{self.name}.{'tsv' if self.is_translation else 'txt'}"

    @property
    def expected(self) -> str:
        """Return the raw names, for people."""
        first, *others = (f"{name}/" if self.parts else name for name in self.raw)
        content = f" with {', '.join(self.parts)}" if self.parts else ""
        return f"{first}{content}" + (f" (or {', '.join(others)})" if others else "")

    def find(self, folder: Path) -> list[Path] | None:
        """Return the raw files below a folder; None when they are not there.

        Raises:
            DataError: A raw folder is there and lacks a part.
        """
        for path in (folder / name for name in self.raw):
            if not self.parts and path.is_file():
                return [path]
            if self.parts and path.is_dir():
                return self._find_parts(path)
        return None

    def rows(self, files: Sequence[Path]) -> list[tuple[str, ...]]:
        """Return the clean and distinct rows of raw files that are neither too short nor too long.

        Raises:
            DataError: The files cannot be read, or no row is left.
        """
        cleaned = (tuple(map(clean, row)) for row in self.read(files))
        rows = list(dict.fromkeys(row for row in cleaned if self._keeps(row)))
        if not rows:
            raise DataError(f"{files[0]}: no row that can be used came; allowed: 1 and more")
        if self.at_most is not None and len(rows) > self.at_most:
            chosen = set(sorted(rows, key=_digest)[: self.at_most])
            rows = [row for row in rows if row in chosen]
        return rows

    def _find_parts(self, folder: Path) -> list[Path]:
        if self.preferred is not None and (folder / self.preferred).is_dir():
            folder = folder / self.preferred
        files: list[Path] = []
        for pattern in self.parts:
            found = sorted(path for path in folder.glob(pattern) if path.is_file())
            if not found:
                raise DataError(f"{folder}: no {pattern} came; allowed: {self.expected}")
            files += found
        return files

    def _keeps(self, row: tuple[str, ...]) -> bool:
        english, *chinese = row
        in_range = is_english(english, min_words=self.min_words, max_words=self.max_words)
        return in_range and all(map(is_chinese, chinese))


def _digest(row: tuple[str, ...]) -> bytes:
    return hashlib.sha256("\t".join(row).encode()).digest()
