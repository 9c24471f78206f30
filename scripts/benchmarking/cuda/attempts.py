"""A long run on a lent device: what fails is told and the rest goes on, what there is no time for is named."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from scripts.benchmarking.cuda.accelerator import Accelerator

Result = TypeVar("Result")


@dataclass
class Attempts:
    """Shapes tried one after the other, until the time is over.

    Attributes:
        refused: What went wrong, a line each.
        left_out: Shapes that were not begun any more.
    """

    accelerator: Accelerator
    seconds: float
    clock: Callable[[], float] = time.monotonic
    refused: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._end = self.clock() + self.seconds

    def in_time(self, what: str, function: Callable[[], Result]) -> Result | None:
        """Do as ``make`` does, or name what there is no time for any more."""
        if self.clock() >= self._end:
            self.left_out.append(what)
            return None
        return self.make(what, function)

    def make(self, what: str, function: Callable[[], Result]) -> Result | None:
        """Return what a function returns, or None when it fails.

        Any error is kept as a line, for whatever goes wrong at one shape says nothing of the next: a kernel may not
        fit, a compiler may stop, and results may differ.

        Raises:
            RuntimeError: when the device itself does not work any more after the error.
        """
        try:
            return function()
        except Exception as error:
            self.refused.append(f"{what}: {type(error).__name__}: {' '.join(str(error).split()):.400}")
        self.accelerator.wait()
        return None
