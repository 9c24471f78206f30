"""Real servers on real sockets."""

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import uvicorn

from api.app import create_app
from api.settings import Settings
from simlstm import SimilarityModel

REPOSITORY = Path(__file__).resolve().parents[2]


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for a condition, and fail when it does not come about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)


class LiveServer(uvicorn.Server):
    """Uvicorn in a thread of this process."""

    def __init__(self, model: SimilarityModel, **settings: object) -> None:
        self.app = create_app(Settings(**settings), model)
        super().__init__(
            uvicorn.Config(
                self.app,
                http=self.app.state.http_protocol,
                port=0,
                log_config=None,
                timeout_graceful_shutdown=5,
            )
        )
        self.thread = threading.Thread(target=self.run)

    def __enter__(self) -> Self:
        self.thread.start()
        until(lambda: self.started)
        self.address = ("127.0.0.1", self.servers[0].sockets[0].getsockname()[1])
        self.url = f"http://127.0.0.1:{self.address[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()


class ServeProcess:
    """scripts/serve.py in a process of its own.

    Args:
        process: the running process.
        lines: what it has written, line by line, standard output and error together.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._arrived: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            self._arrived.put(line)

    def url(self) -> str:
        """Wait for the line that says where it answers, and return the address."""
        while True:
            line = self._arrived.get(timeout=60)
            if line.startswith("simlstm answers at "):
                return line.split()[3]

    def ended(self) -> int:
        """Wait for its end, and return the exit status."""
        status = self.process.wait(60)
        self._reader.join(10)
        return status


@contextlib.contextmanager
def serve_process(*arguments: str, **environment: str) -> Iterator[ServeProcess]:
    process = subprocess.Popen(
        [sys.executable, "scripts/serve.py", "--port", "0", *arguments],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with process:
            serving = ServeProcess(process)
            try:
                yield serving
            finally:
                process.kill()
                serving.ended()
    finally:
        assert process.returncode is not None
