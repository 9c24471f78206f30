"""A worker process as the server sees it: requests go in, futures come true, and its end is noticed at once."""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from api.engine.frames import FrameReader, Header, pack, split
from api.engine.process import work_message
from api.work import Outcome, Work

_FLOAT = np.dtype("<f4")


class WorkerUnavailableError(Exception):
    """The worker is dead, stuck, stopped, or not there yet."""


class WorkerStartError(Exception):
    """The worker cannot load or use its model; the message is for whoever started the server."""


class ComputationError(Exception):
    """The model failed on this one request."""


@dataclass(eq=False, slots=True)
class Ticket:
    """One request that a worker holds.

    Args:
        number: by which both sides call it.
        work: what was asked for.
        future: gets the ``Outcome``, or an exception.
        worker: who holds it.
    """

    number: int
    work: Work
    future: asyncio.Future[Outcome]
    worker: "Worker"


class Worker(asyncio.Protocol):
    """The connection to one worker process; used on the event loop only.

    Args:
        pid: of the process.
        on_step: called with the header of every step, for metrics.
    """

    def __init__(self, pid: int, on_step: Callable[[Header], None]) -> None:
        loop = asyncio.get_running_loop()
        self.pid = pid
        self.facts: asyncio.Future[Header] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.tickets: dict[int, Ticket] = {}
        self.sentences = 0
        self.on_step = on_step
        self._numbers = itertools.count()
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._pinged: float | None = None
        self._busy_since: float | None = None

    @classmethod
    async def start(
        cls,
        connection: socket.socket,
        pid: int,
        settings: Header,
        blob: bytes,
        *,
        on_step: Callable[[Header], None],
        timeout: float,
    ) -> "Worker":
        """Let a new process load its model.

        Args:
            connection: to the process.
            pid: of the process.
            settings: see ``api.engine.process.load``.
            blob: the model itself, when it has no folder.
            on_step: called with the header of every step.
            timeout: seconds that loading and warming up may take.

        Raises:
            WorkerStartError: when the model cannot be loaded or used.
            WorkerUnavailableError: when the process ends, or takes too long.
        """
        loop = asyncio.get_running_loop()
        try:
            _, worker = await loop.create_unix_connection(lambda: cls(pid, on_step), sock=connection)
        except BaseException:
            connection.close()
            raise
        worker._write(pack({"type": "load", **settings}, blob))
        try:
            signs: list[asyncio.Future[Any]] = [worker.facts, worker.closed]
            await asyncio.wait(signs, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if worker.facts.done():
                worker.facts.result()
            elif worker.closed.done():
                raise WorkerUnavailableError("the worker's process ended while it loaded the model")
            else:
                raise WorkerUnavailableError(f"the model was not loaded within {timeout:g} s")
        except BaseException:
            worker.kill()
            await worker.closed
            raise
        return worker

    @property
    def is_alive(self) -> bool:
        """Whether the process is there and listens."""
        return not self.closed.done()

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the process has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def stalled_for(self) -> float:
        """Return for how many seconds the worker has owed an answer and said nothing."""
        since = self._busy_since if self._busy_since is not None else self._pinged
        return 0.0 if since is None else time.monotonic() - since

    def ping(self) -> None:
        """Ask an idle worker for a sign of life."""
        if self.is_alive and not self.tickets and self._pinged is None:
            self._pinged = time.monotonic()
            self._write(pack({"type": "ping"}))

    def submit(self, work: Work) -> Ticket:
        """Hand a request to the worker.

        Raises:
            WorkerUnavailableError: when the process has ended.
        """
        if not self.is_alive:
            raise WorkerUnavailableError("the model's worker is not running")
        now = time.monotonic()
        ticket = Ticket(next(self._numbers), work, asyncio.get_running_loop().create_future(), self)
        message = work_message(ticket.number, work, now)  # fails where a text has no UTF-8
        self.tickets[ticket.number] = ticket
        self.sentences += len(work.texts)
        if self._busy_since is None:
            self._busy_since = now
        self._write(message)
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Drop a request that nobody waits for any more."""
        ticket.future.cancel()
        if self._remove(ticket.number) is not None and self.is_alive:
            self._write(pack({"type": "cancel", "number": ticket.number}))

    def kill(self) -> None:
        """End the process now, whatever it does."""
        if self.is_alive:  # its end is noticed within a turn of the loop: hardly time for its id to be given away
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        if self._transport is not None:
            self._transport.abort()

    async def stop(self, timeout: float) -> None:
        """Let the worker answer what it holds, for so many seconds at most, and end it."""
        end = time.monotonic() + timeout
        while self.tickets and self.is_alive and time.monotonic() < end:
            await asyncio.sleep(0.01)
        self.kill()  # it has nothing to tidy up; stuck, or in a long call, it would not notice that nobody is there
        await asyncio.wait([self.closed], timeout=1)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        self._transport = cast("asyncio.Transport", transport)  # asyncio promises it; uvloop's has another base

    def data_received(self, data: bytes) -> None:
        """Read what the worker says."""
        for header, blob in self._reader.feed(data):
            match header["type"]:
                case "step":
                    self._step(header, blob)
                case "dropped":
                    self.on_step(header)
                case "log":
                    logging.getLogger(header["logger"]).log(header["level"], "%s", header["message"])
                case "ready":
                    self.facts.set_result(header)
                case "failed":
                    self.facts.set_exception(WorkerStartError(header["message"] or header["kind"]))
        self._pinged = None
        # It has just said something: what is still owed is owed from now on.
        self._busy_since = time.monotonic() if self.tickets else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits that the worker is gone."""
        if not self.closed.done():
            self.closed.set_result(None)
        tickets, self.tickets = self.tickets, {}
        self.sentences = 0
        self._busy_since = None
        for ticket in tickets.values():
            if not ticket.future.done():
                ticket.future.set_exception(
                    WorkerUnavailableError("the model's worker ended before this request was computed")
                )

    def _write(self, data: bytes) -> None:
        assert self._transport is not None  # noqa: S101 - there is no worker before its connection is made
        self._transport.write(data)

    def _remove(self, number: int) -> Ticket | None:
        ticket = self.tickets.pop(number, None)
        if ticket is not None:
            self.sentences -= len(ticket.work.texts)
        return ticket

    def _step(self, header: Header, blob: bytes) -> None:
        self.on_step(header)
        start = 0
        width = self.facts.result()["embedding_size"]
        for summary in header["answers"]:
            pairs = summary["pairs"]
            sizes = (pairs, pairs * summary["calibrated"], summary["rows"] * width)
            end = start + sum(sizes) * _FLOAT.itemsize
            ticket = self._remove(summary["number"])
            if ticket is not None and not ticket.future.done():
                ticket.future.set_result(_outcome(summary, blob[start:end], sizes, width))
            start = end
        for failure in header["failures"]:
            ticket = self._remove(failure["number"])
            if ticket is not None and not ticket.future.done():
                ticket.future.set_exception(ComputationError(f"the model failed on this request ({failure['error']})"))


def _outcome(summary: Header, blob: bytes, sizes: tuple[int, int, int], width: int) -> Outcome:
    parts = split(blob, [size * _FLOAT.itemsize for size in sizes])
    scores, probabilities, embeddings = (np.frombuffer(part, dtype=_FLOAT) for part in parts)
    explanations: list[dict[str, Any]] | None = summary["explanations"]
    return Outcome(
        embeddings=embeddings.reshape(-1, width),
        scores=scores,
        probabilities=probabilities if summary["calibrated"] else None,
        explanations=explanations,
        token_counts=summary["token_counts"],
        truncated=summary["truncated"],
        unknown_ratios=summary["unknown_ratios"],
        queue_seconds=summary["queue_seconds"],
        tokenization_seconds=summary["tokenization_seconds"],
        inference_seconds=summary["inference_seconds"],
    )
