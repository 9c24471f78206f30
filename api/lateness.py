"""How late the event loop is: what a server that cannot keep up sees first."""

import asyncio
import logging

logger = logging.getLogger(__name__)
_PERIOD = 0.02
_LATE = 0.03
_ON_TIME = 0.01
_SUSTAINED = 0.5
_ADMITTED_AT_ONCE = 48  # some 15 ms of work


class Lateness:
    """Tells overload of the event loop from a burst, by a timer that should fire every 20 ms.

    The loop is overloaded when the timer has come 30 ms late and has not been on time (10 ms) again for half a second.
    A burst is not refused: its requests wait for one another.
    """

    def __init__(self) -> None:
        self.is_overloaded = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._late_since: float | None = None
        self._admitted = 0

    def start(self) -> None:
        """Begin to watch the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._set(self._loop)

    def stop(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
        self.is_overloaded = False

    def admits(self) -> bool:
        """Whether one more request may begin: always, but of those that come at once under overload only the first."""
        if not self.is_overloaded or self._loop is None:
            return True
        if not self._admitted:
            self._loop.call_soon(self._forget)
        self._admitted += 1
        return self._admitted <= _ADMITTED_AT_ONCE

    def _forget(self) -> None:
        self._admitted = 0

    def _set(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = loop.time() + _PERIOD
        self._timer = loop.call_at(self._due, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        late = now - self._due
        if late > _LATE and self._late_since is None:
            self._late_since = now
        elif late < _ON_TIME:
            self._late_since = None
        overloaded = self._late_since is not None and now - self._late_since > _SUSTAINED
        if overloaded != self.is_overloaded:
            self.is_overloaded = overloaded
            logger.warning("the server %s", "cannot keep up and refuses requests" if overloaded else "keeps up again")
        self._set(loop)
