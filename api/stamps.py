"""Whether a checkpoint has changed on disk, without reading it."""

import contextlib
from pathlib import Path

from simlstm.models.atomic import WHOLE
from simlstm.models.folder import NAMES
from simlstm.models.shipped import checkpoint_folder

Stamp = tuple[tuple[int, int, int] | None, ...]


def stamp_of(path: str) -> Stamp | None:
    """Return what changes when any file of a checkpoint is replaced; None while there is none.

    Whoever copies a checkpoint file by file is refused until the last one has come, and must be looked at again then.
    """
    with contextlib.suppress(OSError, ValueError):
        folder = checkpoint_folder(path)
        stamp = tuple(_file_stamp(folder, name) for name in NAMES)
        return stamp if any(stamp) else None
    return None


def _file_stamp(folder: Path, name: str) -> tuple[int, int, int] | None:
    for file in (folder / WHOLE / name, folder / name):  # as its reader looks for it
        with contextlib.suppress(FileNotFoundError):
            status = file.stat()
            return status.st_ino, status.st_mtime_ns, status.st_size
    return None
