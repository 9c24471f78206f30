"""Ctrl-C and SIGTERM end a run after its current step, with the state saved."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupted(Exception):  # noqa: N818 - it is no error
    """A run that was asked to stop, and has saved its state.

    Attributes:
        signal_number: SIGINT or SIGTERM; a command exits with 128 plus it.
        step: Steps done.
    """

    def __init__(self, signal_number: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name} after step {step}; the state is saved")
        self.signal_number = signal_number
        self.step = step


class Interruption:
    """While entered, remembers the first SIGINT or SIGTERM instead of acting on it; a second one acts at once.

    Attributes:
        signal_number: The signal that came, or None.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._earlier: dict[int, Any] = {}

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self.signal_number = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
        self._earlier = {}

    def __enter__(self) -> Self:
        try:
            self._earlier = {number: signal.signal(number, self._remember) for number in self.SIGNALS}
        except ValueError:
            # Only the main thread may handle signals; training in another one cannot be interrupted this way.
            self._earlier = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
