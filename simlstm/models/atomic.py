"""Replacing several files of a folder as one: all of them, or none, whatever moment a crash picks.

The new files are written and fsynced in ``.checkpoint-writing/`` inside the folder. Renaming that to
``.checkpoint-whole/`` is the moment of truth: before it the old files count, from it on the new ones. Then they move
one by one to their places, and the emptied folder goes. A reader takes each file from ``.checkpoint-whole/`` where it
is still there, and from its place otherwise; so it sees the new files wherever the crash came, without writing
anything itself. The next writer finishes the interrupted move.

Why not swap the whole folder by one rename: a run's folder also holds its training state, its logs and whatever a
person put there, and none of these may vanish, not even between two system calls.

One writer at a time. Readers may come at any moment; see ``read_checkpoint`` for how they notice a change under way.
"""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

WRITING = ".checkpoint-writing"
WHOLE = ".checkpoint-whole"


def replace_files(folder: Path, files: Mapping[str, bytes], *, names: Iterable[str]) -> None:
    """Replace all files of a set, as one.

    Args:
        folder: Where they live; made when it does not exist. Other files in it are left alone.
        files: Content of each file.
        names: All names that the set may have; those that ``files`` lacks are deleted.

    Raises:
        OSError: If the folder cannot be written. What stood there before still counts.
    """
    names = list(names)
    folder.mkdir(parents=True, exist_ok=True)
    _finish_move(folder, names)
    writing = folder / WRITING
    _delete_folder(writing)
    try:
        writing.mkdir()
        for name, content in files.items():
            _write_durably(writing / name, content)
        _make_durable(writing)
    except BaseException:
        shutil.rmtree(writing, ignore_errors=True)
        raise
    writing.rename(folder / WHOLE)
    _make_durable(folder)
    _finish_move(folder, names)
    for name in names:
        if name not in files:
            (folder / name).unlink(missing_ok=True)
    _make_durable(folder)
    _make_durable(folder.parent)


def _finish_move(folder: Path, names: list[str]) -> None:
    """Move the files of a whole set to their places."""
    whole = folder / WHOLE
    if whole.is_dir() and not whole.is_symlink():
        for name in names:
            if (whole / name).exists():
                (whole / name).replace(folder / name)
        _make_durable(folder)
    _delete_folder(whole)


def _delete_folder(folder: Path) -> None:
    """Delete a folder of ours, if it is there; never through a symbolic link."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def _write_durably(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _make_durable(folder: Path) -> None:
    """Wait until the disk has the names in a folder; a system that cannot open folders has no such call."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
