"""The files of a checkpoint folder, and reading them with suspicion."""

import stat
from pathlib import Path
from typing import Final

from simlstm.models.atomic import WHOLE

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.safetensors"
TOKENIZER: Final = "tokenizer.json"
CALIBRATION: Final = "calibration.json"
METRICS: Final = "metrics.json"
CARD: Final = "README.md"
# In the order in which a replaced checkpoint's files move to their places.
NAMES: Final = (WEIGHTS, TOKENIZER, CALIBRATION, METRICS, CARD, CONFIG)

_CODE_CARRYING = frozenset({".pickle", ".pkl", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".dill", ".npy", ".npz"})


class CheckpointError(ValueError):
    """A checkpoint folder that is missing, damaged, of another version, or unsafe; names the file and the reason."""


def check_folder(folder: Path) -> None:
    """Refuse what is no folder, and a folder that holds files which could run code when they are loaded.

    Nothing here would load such a file; but a folder that carries one was not written by this package, and the next
    tool might load it.

    Args:
        folder: The checkpoint folder.

    Raises:
        CheckpointError: With the file and the reason.
    """
    if not folder.exists():
        raise CheckpointError(
            f"{folder}: there is no such folder; a model is the folder of a checkpoint, which holds {CONFIG}, "
            f"{WEIGHTS} and {TOKENIZER}"
        )
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: not a folder; a model is the folder that holds {CONFIG}, not a file in it")
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in _CODE_CARRYING:
            raise CheckpointError(
                f"{path}: a {path.suffix} file may hold pickled code, and a checkpoint folder holds none; remove it"
            )


def read_file(folder: Path, name: str, *, limit: int) -> bytes:
    """Read one file of a checkpoint folder, at its place or where an interrupted rewrite left it.

    Args:
        folder: The checkpoint folder.
        name: A plain name, one of ``NAMES``.
        limit: Most bytes that are read.

    Returns:
        The content.

    Raises:
        CheckpointError: If the file is missing, larger than the limit, no regular file, or outside of the folder.
    """
    try:
        return _read(folder, folder / WHOLE / name, limit)
    except FileNotFoundError:
        pass  # the usual case: no rewrite was interrupted, or this file had moved already
    try:
        return _read(folder, folder / name, limit)
    except FileNotFoundError:
        raise CheckpointError(f"{folder / name}: missing") from None


def _read(folder: Path, path: Path, limit: int) -> bytes:
    """Read a regular file that lies inside the folder."""
    try:
        target = path.resolve(strict=True)
        if not target.is_relative_to(folder.resolve()):
            raise CheckpointError(f"{path}: a link to {target}, outside of the checkpoint folder")
        status = target.stat()
        if not stat.S_ISREG(status.st_mode):
            raise CheckpointError(f"{path}: not a regular file")
        if status.st_size > limit:
            raise CheckpointError(f"{path}: {status.st_size:,} bytes, at most {limit:,} expected")
        return target.read_bytes()
    except (FileNotFoundError, CheckpointError):
        raise
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, up to Python 3.12
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
