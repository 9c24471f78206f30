"""A long run on a lent device: what fails or never ends is told and the rest goes on, as long as there is time."""

import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from scripts.benchmarking.cuda.accelerator import Accelerator

Result = TypeVar("Result")
# Compiling the kernels of a size and trying plans for them takes a while; a kernel that waits for itself takes forever.
STALL_SECONDS = 100.0
STALLED = 3  # exit status: begin again with --resume
_NO_END = "did not end within"


def leave() -> None:
    """End the process although its main thread waits for a device that never answers."""
    os._exit(STALLED)


@dataclass
class Attempts:
    """Sizes tried one after the other, until the time is over.

    Attributes:
        accelerator: Whose health is looked at after an error.
        seconds: Nothing is begun after them.
        save: Called before the process ends because something does not.
        stall_seconds: Time that one attempt may take.
        leave: Ends the process.
        refused: What went wrong, a line each.
        left_out: What was not begun any more.
    """

    accelerator: Accelerator
    seconds: float
    save: Callable[[], object] = lambda: None
    stall_seconds: float = STALL_SECONDS
    leave: Callable[[], None] = leave
    clock: Callable[[], float] = time.monotonic
    refused: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._end = self.clock() + self.seconds

    def resume(self, refused: Iterable[str]) -> None:
        """Take over what an earlier run of the same report refused."""
        self.refused += refused

    def was_refused(self, what: str) -> bool:
        """Return whether an attempt of that name went wrong before, as a whole or in a part."""
        return any(line.startswith((f"{what}:", f"{what},")) for line in self.refused)

    def never_ended(self, part: str) -> bool:
        """Return whether an attempt did not end whose name ends with a part, such as a size."""
        return any(f"{part}: {_NO_END}" in line for line in self.refused)

    def in_time(self, what: str, function: Callable[[], Result]) -> Result | None:
        """Do as ``make`` does, or name what there is no time for any more; what takes too long ends the process."""
        if self.clock() >= self._end:
            self.left_out.append(what)
            return None
        watchdog = threading.Timer(self.stall_seconds, self._stalled, [what])
        watchdog.daemon = True
        watchdog.start()
        try:
            return self.make(what, function)
        finally:
            watchdog.cancel()

    def make(self, what: str, function: Callable[[], Result]) -> Result | None:
        """Return what a function returns, or None when it fails.

        Any error is kept as a line, for whatever goes wrong at one shape says nothing of the next: a kernel may not
        fit, a compiler may stop, and results may differ.

        Raises:
            RuntimeError: when the device itself does not work any more after the error; everything so far is saved.
        """
        try:
            return function()
        except Exception as error:
            self.refused.append(f"{what}: {type(error).__name__}: {' '.join(str(error).split()):.400}")
        try:
            self.accelerator.wait()
        except Exception:
            self.save()
            raise
        return None

    def _stalled(self, what: str) -> None:
        self.refused.append(f"{what}: {_NO_END} {self.stall_seconds:g} s")
        self.save()
        self.leave()
