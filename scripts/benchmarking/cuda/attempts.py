"""A long run on a lent device: what fails or never ends is told and the rest goes on, as long as there is time."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from scripts.benchmarking.cuda.accelerator import Accelerator

Result = TypeVar("Result")
# Compiling the kernels of a size and trying plans for them takes a while; a kernel that waits for itself takes forever.
STALL_SECONDS = 60.0
AGAIN = 3  # exit status: begin again with --resume
_NO_END, _BROKEN = "did not end within", "broke the device for its process"


def leave() -> None:
    """End the process although its main thread may wait for a device that never answers."""
    os._exit(AGAIN)


@dataclass
class Attempts:
    """Sizes tried one after the other, until the time is over.

    An error that a device remembers (an address that is not its own, say) comes back from every later call of the
    process: what caused it is named, and the process ends as it does behind what never ends.

    Attributes:
        accelerator: Whose health is looked at after an error.
        seconds: Nothing is begun after them.
        save: Called before the process ends because something does not, or broke the device; asks it nothing.
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
        self._trying: str | None = None

    def resume(self, refused: Iterable[str]) -> None:
        """Take over what an earlier run of the same report refused."""
        self.refused += refused

    def was_refused(self, what: str) -> bool:
        """Return whether an attempt of that name went wrong before, as a whole or in a part."""
        return any(line.startswith((f"{what}:", f"{what},")) for line in self.refused)

    def ended_a_process(self, part: str) -> bool:
        """Return whether an attempt did not end, or broke the device, whose name ends with a part, such as a size."""
        return any(f"{part}: {how}" in line for line in self.refused for how in (_NO_END, _BROKEN))

    def in_time(self, what: str, function: Callable[[], Result]) -> Result | None:
        """Do as ``make`` does, or name what there is no time for any more; what takes too long ends the process."""
        if self.clock() >= self._end:
            self.left_out.append(what)
            return None
        watchdog = threading.Timer(self.stall_seconds, self._stalled, [what])
        watchdog.daemon = True
        watchdog.start()
        self._trying = what
        try:
            return self.make(what, function)
        finally:
            self._trying = None
            watchdog.cancel()

    def make(self, what: str, function: Callable[[], Result]) -> Result | None:
        """Return what a function returns, or None when it fails.

        Any error is kept as a line, for whatever goes wrong at one shape says nothing of the next: a kernel may not
        fit, a compiler may stop, and results may differ. When the device does not work any more after the error, the
        process ends.
        """
        try:
            return function()
        except Exception as error:
            self.refused.append(f"{what}: {type(error).__name__}: {' '.join(str(error).split()):.400}")
        try:
            self.accelerator.wait()
        except Exception as error:
            self._end_process(f"{self._trying or what}: {_BROKEN}: {' '.join(str(error).split()):.200}")
            raise  # for whoever leaves otherwise
        return None

    def _stalled(self, what: str) -> None:
        self._end_process(f"{what}: {_NO_END} {self.stall_seconds:g} s")

    def _end_process(self, reason: str) -> None:
        self.refused.append(reason)
        self.save()
        print(f"benchmark: {reason}; --resume goes on behind it", file=sys.stderr, flush=True)
        self.leave()
