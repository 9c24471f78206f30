"""The worker's process: reads jobs from its socket, lets the engine compute, writes answers. It has one thread."""

import contextlib
import logging
import os
import pickle
import select
import signal
import socket
from typing import Any, NoReturn

import numpy as np

from api.engine.embedding import places
from api.engine.engine import Engine, Step
from api.engine.frames import FrameReader, Header, pack
from api.engine.jobs import Job
from api.engine.scoring import Answer
from api.engine.threads import Threads
from api.work import Layout, Work
from simlstm import SimilarityModel

logger = logging.getLogger(__name__)
_WARM_UP = ["warm up", "the first call builds what later calls reuse", "热身"]
_AT_ONCE = 2**20


class _LogSender(logging.Handler):
    """Sends what is logged here to the server, which writes all logs of both: in one format, to one place."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line."""
        # Half a surrogate pair, which a file's name may hold, has no UTF-8.
        message = record.getMessage().encode("utf-8", "replace").decode()
        line = {"type": "log", "level": record.levelno, "logger": record.name, "message": message}
        self._connection.sendall(pack(line))


class GoneError(Exception):
    """The server has closed the connection: there is nobody to work for."""


def run(connection: socket.socket) -> NoReturn:
    """Serve one server until it closes the connection, then end the process.

    Args:
        connection: its first message says which model to load and how; see ``load``.
    """
    # Whoever stops the server stops it with its group; what is in flight must still be answered.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    status = 0
    try:
        with contextlib.suppress(GoneError, BrokenPipeError, ConnectionResetError):
            serve(connection)
    except SystemExit:
        status = 1
    except Exception as error:
        status = 1
        with contextlib.suppress(OSError):
            logger.critical("the worker ends, because of a fault: %s\n%s", type(error).__name__, places(error))
    finally:
        connection.close()
        os._exit(status)  # what the process was forked from has nothing to be cleaned up here


def serve(connection: socket.socket) -> None:
    """Load a model, say what it is, and answer until the connection ends.

    Raises:
        GoneError: when the server has closed the connection.
    """
    reader = FrameReader()
    messages: list[tuple[Header, bytes]] = []
    while not messages:
        messages += reader.feed(_received(connection))
    (settings, blob), *messages = messages
    logging.basicConfig(level=settings["log_level"].upper(), handlers=[_LogSender(connection)], force=True)
    try:
        engine, ready = load(settings, blob)
    except Exception as error:
        connection.sendall(pack({"type": "failed", "kind": type(error).__name__, "message": str(error)}))
        return
    connection.sendall(pack(ready))
    while True:
        _handle(engine, messages, connection)
        if engine.is_busy:
            step = engine.step()
            connection.sendall(report(engine, step))
        messages = []
        while _has_arrived(connection, wait=not (engine.is_busy or messages)):
            messages += reader.feed(_received(connection))


def load(settings: Header, blob: bytes) -> tuple[Engine, Header]:
    """Load and warm up a model.

    Args:
        settings: "folder" of the checkpoint, or None and the model itself in the blob; "device", "dtype", "threads";
            "max_batch_tokens", "cache_bytes" and "max_age" of the engine.
        blob: a pickled model, from the server's own memory.

    Returns:
        The engine, and the message that says what was loaded.

    Raises:
        ValueError, ImportError, OSError, RuntimeError: whatever the checkpoint or the model raises.
    """
    threads = Threads(settings["threads"])
    if settings["folder"] is None:
        model: SimilarityModel = pickle.loads(blob)  # noqa: S301 - over a pair of sockets that the server made
        model.trust()  # nobody else holds this copy
    else:
        model = SimilarityModel.from_pretrained(settings["folder"], device=settings["device"], dtype=settings["dtype"])
    _warm_up(model)
    engine = Engine(
        model,
        max_batch_tokens=settings["max_batch_tokens"],
        cache_bytes=settings["cache_bytes"],
        max_age=settings["max_age"],
        threads=threads,
    )
    return engine, {"type": "ready", "pid": os.getpid(), **_facts(model)}


def _warm_up(model: SimilarityModel) -> None:
    try:
        scores = model.score(_WARM_UP, _WARM_UP[::-1])
    except Exception as error:
        raise ValueError(f"the model does not compute: {type(error).__name__}: {error}") from error
    if not np.isfinite(scores).all():
        raise ValueError(f"the model does not compute: it scores {_WARM_UP[0]!r} as {scores[0]}")


def _facts(model: SimilarityModel) -> Header:
    return {
        "name": model.name,
        "fingerprint": model.fingerprint,
        "config": model.config.model_dump(mode="json"),
        "tokenizer": model.tokenizer.to_json(),
        "segmenter": model.tokenizer.segmenter,
        "calibration": None if model.calibration is None else model.calibration.model_dump(mode="json"),
        "metrics": model.metrics,
        "dtype": model.dtype,
        "backend": model.backend,
        "device": str(model.device),
        "embedding_size": model.embedding_size,
    }


def _has_arrived(connection: socket.socket, *, wait: bool) -> bool:
    readable, _, _ = select.select([connection], [], [], None if wait else 0)
    return bool(readable)


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(_AT_ONCE)
    if not data:
        raise GoneError
    return data


def _handle(engine: Engine, messages: list[tuple[Header, bytes]], connection: socket.socket) -> None:
    jobs: list[Job] = []
    cancelled: set[int] = set()
    for header, _ in messages:
        match header["type"]:
            case "work":
                jobs.append(Job(header["number"], work_of(header), header["submitted"]))
            case "cancel":
                cancelled.add(header["number"])
            case "ping":
                connection.sendall(pack({"type": "pong"}))
    wanted = [job for job in jobs if job.number not in cancelled]
    dropped = len(jobs) - len(wanted) + engine.cancel(cancelled)
    if dropped:
        connection.sendall(pack({"type": "dropped", "count": dropped}))
    if wanted:
        engine.add(wanted)


def work_message(number: int, work: Work, submitted: float) -> bytes:
    """Write a request's work as the message that ``work_of`` reads."""
    return pack(
        {
            "type": "work",
            "number": number,
            "submitted": submitted,
            "texts": list(work.texts),
            "layout": work.layout.value,
            "first": work.first,
            "measure": work.measure,
            "embeddings": work.embeddings,
            "explain": work.explain,
            "keep": work.keep,
        }
    )


def work_of(header: Header) -> Work:
    """Read a request's work."""
    return Work(
        texts=header["texts"],
        layout=Layout(header["layout"]),
        first=header["first"],
        measure=header["measure"],
        embeddings=header["embeddings"],
        explain=header["explain"],
        keep=header["keep"],
    )


def report(engine: Engine, step: Step) -> bytes:
    """Write what a step brought: numbers in the header, scores, probabilities and vectors of all answers behind it."""
    answers: list[tuple[Answer, list[dict[str, Any]] | None]] = [(answer, None) for answer in step.answers]
    answers += [(explained.answer, explained.explanations) for explained in step.explained]
    blobs: list[memoryview] = []
    for answer, _ in answers:
        blobs += [array.data.cast("B") for array in _arrays(answer) if array.size]
    statistics = step.statistics
    header = {
        "type": "step",
        "sentences": statistics.sentences,
        "tokens": statistics.tokens,
        "seconds": statistics.seconds,
        "repeated": statistics.repeated,
        "retries": statistics.retries,
        "poisoned": statistics.poisoned,
        "hits": engine.cache.hits,
        "misses": engine.cache.misses,
        "cache_bytes": engine.cache.bytes,
        "halvings": engine.budget.halvings,
        "budget": engine.budget.tokens,
        "answers": [_summary(answer, explanations) for answer, explanations in answers],
        "failures": [{"number": failure.job.number, "error": failure.error} for failure in step.failures],
    }
    return pack(header, *blobs)


def _arrays(answer: Answer) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    probabilities = np.empty(0, dtype=np.float32) if answer.probabilities is None else answer.probabilities
    return [np.ascontiguousarray(array) for array in (answer.scores, probabilities, answer.embeddings)]


def _summary(answer: Answer, explanations: list[dict[str, Any]] | None) -> Header:
    job = answer.job
    return {
        "number": job.number,
        "pairs": len(answer.scores),
        "calibrated": answer.probabilities is not None,
        "rows": len(answer.embeddings),
        "explanations": explanations,
        "token_counts": job.token_counts,
        "truncated": job.truncated,
        "unknown_ratios": job.unknown_ratios,
        "queue_seconds": max(0.0, job.taken - job.submitted),
        "tokenization_seconds": job.tokenization_seconds,
        "inference_seconds": job.inference_seconds,
    }
