"""Where worker processes come from, as the server sees it."""

import asyncio
import atexit
import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

_PATIENCE_SECONDS = 60.0


class Nursery:
    """A helper process that forks workers; started when it is first needed, and again if it was killed.

    ``NURSERY`` is the one of this process: applications that follow one another share it.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None
        self._lock = threading.Lock()

    async def worker(self) -> tuple[socket.socket, int]:
        """Make a worker process.

        Returns:
            A non-blocking connection to it, and its process id.

        Raises:
            OSError: when the system gives no process.
        """
        making = asyncio.ensure_future(asyncio.to_thread(self._worker))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            connection, _ = await making
            connection.close()
            raise

    def close(self) -> None:
        """End the helper process; workers end when their connections do."""
        if self._orders is not None:
            self._orders.close()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
            self._process.kill()
            self._process.wait()
        self._process = self._orders = None

    def _worker(self) -> tuple[socket.socket, int]:
        with self._lock:
            try:
                return self._order()
            except (BrokenPipeError, ConnectionResetError, TimeoutError):
                self.close()  # it was killed, or stopped
                return self._order()

    def _order(self) -> tuple[socket.socket, int]:
        if self._process is None or self._orders is None or self._process.poll() is not None:
            self.close()
            self._process, self._orders = _started()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._orders, [b"w"], [theirs.fileno()])
            answer = self._orders.recv(8, socket.MSG_WAITALL)
        except BaseException:
            ours.close()
            raise
        if len(answer) < 8:
            ours.close()
            raise BrokenPipeError("the nursery ended before it made a worker")
        ours.setblocking(False)
        return ours, int.from_bytes(answer, "little")


NURSERY = Nursery()
atexit.register(NURSERY.close)


def _started() -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    ours.settimeout(_PATIENCE_SECONDS)
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
            [sys.executable, "-m", "api.engine.nursery", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            # What this process can import, that one must be able to.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(path).absolute()) for path in sys.path)},
        )
    return process, ours
