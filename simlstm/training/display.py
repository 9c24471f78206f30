"""What a person sees of a run: a bar on a terminal, one log line per evaluation elsewhere."""

import logging
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

logger = logging.getLogger(__name__)


class Display:
    """Shows steps, sentences per second, time left and the dev metric.

    Args:
        console: Where the bar goes; without one, or when it is no terminal, only log lines appear.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._dev = ""
        if console is not None and console.is_terminal:
            self._progress = Progress(
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]} sentences/s"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[dev]}"),
                console=console,
            )

    def begin(self, total_steps: int, step: int) -> None:
        """Start the bar at a step."""
        if self._progress is not None:
            self._progress.start()
            self._task = self._progress.add_task("", total=total_steps, completed=step, epoch=1, rate="–", dev="")

    def advance(self, step: int, *, epoch: int, sentences_per_second: float) -> None:
        """Move the bar to a step of an epoch (from 0)."""
        if self._progress is not None:
            self._progress.update(
                self._task, completed=step, epoch=epoch + 1, rate=f"{sentences_per_second:,.0f}", dev=self._dev
            )

    def evaluated(
        self, step: int, *, epoch: int, metric: str, value: float, is_best: bool, sentences_per_second: float
    ) -> None:
        """Tell the result of an evaluation."""
        self._dev = f"dev {metric} {value:.4f}{' (best)' if is_best else ''}"
        if self._progress is None:
            logger.info(
                "epoch %d, step %d: %s, %s sentences/s", epoch + 1, step, self._dev, f"{sentences_per_second:,.0f}"
            )
        else:
            self._progress.console.print(f"epoch {epoch + 1}, step {step}: {self._dev}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
