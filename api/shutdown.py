"""SIGTERM: say so on /readyz first, close the socket later."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def announced_shutdown(announce: Callable[[], None], *, delay: float) -> Iterator[None]:
    """On SIGTERM, call ``announce`` at once and hand the signal to the web server after ``delay`` seconds.

    The web server by itself closes its socket at once, so that load balancers would meet refused connections before
    they met a /readyz that says 503. A second SIGTERM is handed over immediately. Without effect outside the main
    thread (Python delivers signals there only) and where nobody handles SIGTERM.

    Args:
        announce: turns readiness off.
        delay: seconds.
    """
    previous = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        yield
        return
    hand_over = previous
    loop = asyncio.get_running_loop()
    announced = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal announced
        if announced:
            hand_over(number, frame)
            return
        announced = True
        announce()
        # A signal handler may run while the loop sleeps; only this call wakes it.
        loop.call_soon_threadsafe(lambda: loop.call_later(delay, hand_over, number, None))

    signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
