"""``simlstm open-data``: find raw files, convert them all, and let the folder appear when it is whole."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.opening_data.catalogue import COLLECTIONS
from scripts.opening_data.collection import Collection
from scripts.opening_data.listing import Opened, describe, describe_missing
from scripts.opening_data.raw_files import hash_files
from simlstm.data.errors import DataError

README = "README.md"


def open_collections(raw: Path, out: Path, *, only: Sequence[str] | None = None) -> list[Opened]:
    """Convert raw files into ``OUT/NAME.tsv`` and ``OUT/NAME.txt``, and list them in ``OUT/README.md``.

    Args:
        raw: The folder with the downloads.
        out: A folder that does not exist, or is empty; it appears when all is written.
        only: Names of collections; None for all.

    Returns:
        What was written, in the order of the catalogue.

    Raises:
        ValueError: For an unknown name, a folder that cannot be used, missing raw files, or their content.
        OSError: The disk refuses.
    """
    chosen = _choose(only)
    if not raw.is_dir():
        raise ValueError(f"{raw}: no such folder; allowed: the folder with the downloads")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ValueError(f"{out}: is there already, and nothing is overwritten; name another --out or remove it")
    found = {collection.name: files for collection in chosen if (files := collection.find(raw)) is not None}
    if missing := [collection for collection in chosen if collection.name not in found]:
        raise DataError(describe_missing(raw, missing))
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        opened = [_convert(collection, found[collection.name], partial) for collection in chosen]
        (partial / README).write_text(describe(opened), encoding="utf-8", newline="\n")
        partial.chmod(0o755)  # mkdtemp keeps others out
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return opened


def _choose(only: Sequence[str] | None) -> list[Collection]:
    unknown = [name for name in only or () if name not in COLLECTIONS]
    if unknown:
        raise ValueError(f"only: {', '.join(map(repr, unknown))} came; allowed: {', '.join(COLLECTIONS)}")
    return [collection for name, collection in COLLECTIONS.items() if only is None or name in only]


def _convert(collection: Collection, files: Sequence[Path], out: Path) -> Opened:
    rows = collection.rows(files)
    header = ["sentence1\tsentence2"] if collection.is_translation else []
    lines = [*header, *("\t".join(row) for row in rows)]
    text = "".join(f"{line}\n" for line in lines)
    (out / collection.file_name).write_text(text, encoding="utf-8", newline="\n")
    return Opened(collection, hash_files(files), len(rows))
