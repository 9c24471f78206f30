"""Servers as subprocesses: started, waited for, and ended with all their processes."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmarking.serving.memory import descendants
from scripts.benchmarking.serving.wire import Client, get_request

REPOSITORY = Path(__file__).resolve().parents[3]
OURS, PLAIN, INFINITY = "simlstm", "plain route", "infinity + MiniLM"
_ANNOUNCED = re.compile(r"answers at (http://\S+)")
_GRACE = 10.0


@dataclass(frozen=True)
class Launch:
    """How to start a server.

    Args:
        name: What to call it.
        command: Its arguments.
        ready: A route that answers with 200 once it serves.
        port: Where it will answer; None when it announces the address itself.
        environment: Variables besides ours.
        seconds: How long it may take to start.
    """

    name: str
    command: Sequence[str]
    ready: str
    port: int | None = None
    environment: Mapping[str, str] | None = None
    seconds: float = 120.0


@dataclass(frozen=True)
class Server:
    """A server that answers.

    Args:
        name: What to call it.
        url: ``http://host:port``.
        process: Id of its first process.
    """

    name: str
    url: str
    process: int


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ours(model: str, settings: Mapping[str, str]) -> Launch:
    """Serve a checkpoint as a user would, from this checkout."""
    command = [sys.executable, "-m", "scripts", "serve", "--port", "0", "--model", model, "--log-level", "warning"]
    return Launch(OURS, command, "/readyz", environment=dict(settings))


def plain(model: str) -> Launch:
    """Serve the same checkpoint behind a plain route."""
    port = free_port()
    command = [sys.executable, "-m", "scripts.benchmarking.serving.plain", model, str(port)]
    return Launch(PLAIN, command, "/openapi.json", port=port)


def infinity(executable: Path, model: Path) -> Launch:
    """Serve MiniLM with infinity.

    Raises:
        FileNotFoundError: when the program or the model is not there; says which.
    """
    if not executable.is_file():
        raise FileNotFoundError(
            f"--infinity {executable}: no such file; name the program infinity_emb of an environment that has it"
        )
    if not (model / "modules.json").is_file():
        raise FileNotFoundError(f"infinity as a peer: no sentence-transformers model in {model}; run `make minilm`")
    port = free_port()
    flags = {"model-id": str(model.resolve()), "engine": "torch", "device": "cpu", "host": "127.0.0.1"}
    command = [str(executable), "v2", "--no-bettertransformer", "--port", str(port), "--log-level", "warning"]
    command += [word for name, value in flags.items() for word in (f"--{name}", value)]
    environment = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
    return Launch(INFINITY, command, "/health", port=port, environment=environment)


@contextlib.contextmanager
def started(launch: Launch) -> Iterator[Server]:
    """Start a server, wait until it serves, and end it with all its processes on leaving.

    Raises:
        RuntimeError: when it ends, or does not serve in time; shows the last of what it wrote.
    """
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)} | dict(launch.environment or {})
    with tempfile.NamedTemporaryFile() as output:
        process = subprocess.Popen(launch.command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            with _interrupted_by_termination():
                yield Server(launch.name, _wait(launch, process, Path(output.name)), process.pid)
        finally:
            _end(process)


@contextlib.contextmanager
def _interrupted_by_termination() -> Iterator[None]:
    """Let SIGTERM end this process as Ctrl-C does: by itself, it would leave the servers behind."""
    if threading.current_thread() is not threading.main_thread():  # Python delivers signals there only
        yield
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _wait(launch: Launch, process: subprocess.Popen[bytes], output: Path) -> str:
    end = time.monotonic() + launch.seconds
    url = None if launch.port is None else f"http://127.0.0.1:{launch.port}"
    while time.monotonic() < end and process.poll() is None:
        if url is None:
            announced = _ANNOUNCED.search(_written(output))
            url = None if announced is None else announced[1]
        if url is not None and _serves(url, launch.ready):
            return url
        time.sleep(0.05)
    reason = "did not answer in time" if process.poll() is None else f"ended with status {process.returncode}"
    raise RuntimeError(f"{launch.name} {reason}; it wrote: {_written(output).strip()[-1500:] or 'nothing'}")


def _written(output: Path) -> str:
    return output.read_text(encoding="utf-8", errors="replace")


def _serves(url: str, route: str) -> bool:
    try:
        client = Client(url, timeout=5.0)
    except OSError:
        return False
    try:
        return client.exchange(get_request(route)).status == 200
    except (OSError, ValueError):
        return False
    finally:
        client.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to stop, then stop it and whatever it started."""
    processes = descendants(process.pid)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    for number in processes:
        if number != process.pid or process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
    process.wait()
