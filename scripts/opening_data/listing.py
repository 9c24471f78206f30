"""What is said about collections: which are missing, and the README.md beside what was written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.opening_data.collection import Collection


@dataclass(frozen=True)
class Opened:
    """A collection that was written.

    Attributes:
        collection: Which.
        sha256: Of its raw file, see `hash_files`.
        rows: How many there are, without the header.
    """

    collection: Collection
    sha256: str
    rows: int


def describe_missing(raw: Path, missing: Sequence[Collection]) -> str:
    """Return what a user needs to obtain raw files."""
    lines = [
        f"  {one.name}: {one.title}, {one.publisher}, {one.licence}\n    {one.home}\n    expected: {one.expected}"
        for one in missing
    ]
    start = f"{raw}: raw files are missing; put them there, or leave their collections out with --only"
    return "\n".join([start, *lines])


def describe(opened: Sequence[Opened]) -> str:
    """Return the README.md of a folder."""
    table = [
        _row(
            one.collection.file_name,
            one.collection.title,
            f"[{one.collection.publisher}]({one.collection.home})",
            one.collection.licence,
            f"{one.rows:,}",
            f"`{one.sha256}`",
        )
        for one in opened
    ]
    lines = [
        "# Open data",
        "",
        "Written by `simlstm open-data` from the publishers' files. Their licences hold for what is here, too.",
        "`.tsv`: columns sentence1 (English) and sentence2 (Chinese); `.txt`: one English text a line.",
        "SHA-256 is the raw file's; of several files, that of their list as `sha256sum` prints it.",
        "",
        _row("File", "Title", "Publisher", "Licence", "Rows", "Raw SHA-256"),
        _row(*["---"] * 4, "---:", "---"),
        *table,
    ]
    return "".join(f"{line}\n" for line in lines)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
