"""The folder of a run: what lies in it, and when it may be written to."""

import json
import shutil
from pathlib import Path

from simlstm.models.folder import CONFIG, NAMES
from simlstm.models.manifest import FORMAT
from simlstm.training.state import StateFolder

STATE = "state"
# What a run leaves before its checkpoint is written.
UNFINISHED_NAMES = (STATE, "metrics.jsonl", "tensorboard")
# The checkpoint's config.json goes first: without it, the rest is no finished run.
OWN_NAMES = (CONFIG, *(name for name in NAMES if name != CONFIG), *UNFINISHED_NAMES)


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
        """Refuse a folder that holds something, unless it is a run that is resumed, or all a run's own and overwritten.

        Resuming where no run began is a fresh start: all that may be there is what a crash left of ``state/``.

        Raises:
            RunFolderError: Saying what is there and what would be allowed.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunFolderError(f"{self.path}: a file is there; --out names a folder")
        if resume and overwrite:
            raise RunFolderError("--resume goes on with a run and --overwrite starts it anew; give one of them")
        if not self.path.is_dir():
            return
        if overwrite and (strangers := self._strangers()):
            raise RunFolderError(
                f"{self.path}: --overwrite replaces a training run, and {strangers[0]} belongs to none; "
                "choose another folder"
            )
        if resume and not self.is_finished() and self.state.description() is None:
            foreign = sorted(entry.name for entry in self.path.iterdir() if entry.name != STATE)
            foreign += [f"{STATE}/{name}" for name in self.state.strangers()]
            if foreign:
                raise RunFolderError(
                    f"{self.path}: there is no run to resume in this folder, and {foreign[0]} keeps it from being a "
                    "new run's; choose another folder"
                )
        if not resume and not overwrite and any(self.path.iterdir()):
            is_run = self.is_finished() or self.state.description() is not None
            what = "a finished run" if self.is_finished() else "a run" if is_run else "something"
            way_on = "--resume goes on with it, --overwrite replaces it" if is_run else "choose another folder"
            raise RunFolderError(f"{self.path}: there is {what} in this folder; {way_on}")

    def is_finished(self) -> bool:
        """Tell whether the checkpoint has been written; another program's ``config.json`` is none."""
        try:
            document = json.loads((self.path / CONFIG).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return False
        return isinstance(document, dict) and document.get("format") == FORMAT

    def _strangers(self) -> list[str]:
        """Return the names of what no run wrote."""
        names = [
            entry.name
            for entry in self.path.iterdir()
            if entry.name not in OWN_NAMES and not entry.name.startswith(".checkpoint-")
        ]
        if (self.path / CONFIG).exists() and not self.is_finished():
            names.append(CONFIG)
        return sorted(names) + [f"{STATE}/{name}" for name in self.state.strangers()]

    def clear(self, *, resume: bool) -> None:
        """Make the folder, and remove what an earlier run left in it.

        Args:
            resume: The earlier run had only just begun, so that a checkpoint's names are not its files.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        for name in UNFINISHED_NAMES if resume else OWN_NAMES:
            entry = self.path / name
            if name == STATE:
                self.state.remove()
            elif entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        if not resume:
            for entry in self.path.glob(".checkpoint-*"):
                shutil.rmtree(entry)
