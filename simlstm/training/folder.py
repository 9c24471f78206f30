"""The folder of a run: what lies in it, and when it may be written to."""

import shutil
from pathlib import Path

from simlstm.models.folder import CONFIG, NAMES
from simlstm.training.state import StateFolder

STATE = "state"
# The checkpoint's config.json goes first: without it, the rest is no finished run.
OWN_NAMES = (CONFIG, *(name for name in NAMES if name != CONFIG), STATE, "metrics.jsonl", "tensorboard")


class RunFolderError(ValueError):
    """A folder that may not be written to; the message says what would allow it."""


class RunFolder:
    """One run's folder.

    Attributes:
        path: The folder.
        state: Its resumable state.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = StateFolder(path / STATE)

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse a folder that holds something, unless it is resumed, or overwritten and all of it is a run's own.

        Raises:
            RunFolderError: Saying what is there and what would be allowed.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunFolderError(f"{self.path}: a file is there; --out names a folder")
        if resume and overwrite:
            raise RunFolderError("--resume goes on with a run and --overwrite starts it anew; give one of them")
        if not self.path.is_dir():
            return
        strangers = sorted(
            entry.name
            for entry in self.path.iterdir()
            if entry.name not in OWN_NAMES and not entry.name.startswith(".checkpoint-")
        )
        if overwrite and strangers:
            raise RunFolderError(
                f"{self.path}: --overwrite replaces a training run, and {strangers[0]} belongs to none; "
                "choose another folder"
            )
        if not resume and not overwrite and any(self.path.iterdir()):
            what = "a finished run" if self.is_finished() else "a run" if self.state.folder.exists() else "something"
            raise RunFolderError(
                f"{self.path}: there is {what} in this folder; --resume goes on with it, --overwrite replaces it"
            )

    def is_finished(self) -> bool:
        """Tell whether the checkpoint has been written."""
        return (self.path / CONFIG).exists()

    def clear(self) -> None:
        """Make the folder, and remove what an earlier run left in it."""
        self.path.mkdir(parents=True, exist_ok=True)
        for name in OWN_NAMES:
            entry = self.path / name
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        for entry in self.path.glob(".checkpoint-*"):
            shutil.rmtree(entry)
