"""The record of a run: one JSON object a line in ``metrics.jsonl``, and the same numbers for TensorBoard."""

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class Journal:
    """Writes ``metrics.jsonl`` and, when asked, TensorBoard events.

    Args:
        folder: The run's folder.
        tensorboard: Whether to write events into ``folder/tensorboard``.
        keep_bytes: Length up to which an earlier log is kept: a resumed run repeats the steps behind it.
        step: Steps already done; TensorBoard hides earlier events of later steps.
    """

    def __init__(self, folder: Path, *, tensorboard: bool, keep_bytes: int = 0, step: int = 0) -> None:
        self._file = (folder / "metrics.jsonl").open("ab")
        self._file.truncate(min(keep_bytes, os.fstat(self._file.fileno()).st_size))
        self._events = None
        if tensorboard:
            # Seconds of import time that only a training run pays.
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, event: str, step: int, values: dict[str, float], *, epoch: int) -> None:
        """Record numbers of one step.

        Args:
            event: ``train`` or ``dev``: the first key of the line, and the group in TensorBoard.
            step: Optimizer steps done.
            values: The numbers by name.
            epoch: The epoch of that step, from 0.
        """
        line = json.dumps({"event": event, "step": step, "epoch": epoch, **values})
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(f"{event}/{name}", value, step)

    def position(self) -> int:
        """Return the log's length in bytes, once it is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return os.fstat(self._file.fileno()).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._events is not None:
            self._events.close()
