"""The open loop's generator: requests leave at random times that no answer changes.

Run as a process of its own, ``python -m scripts.benchmarking.serving.generator``: it reads an ``OpenLoop`` as JSON
from its input and writes ``Arrivals`` to its output. Requests are prepared bytes, answers are counted; of those with
200, a sample is kept for whoever knows what is right.
"""

import asyncio
import random
import sys
import time
from collections import deque
from pathlib import Path
from typing import cast

import uvloop
from pydantic import BaseModel, ConfigDict

from scripts.benchmarking.serving.wire import Answer, AnswerReader, address_of, post_request

_KEPT = 50  # every how many-th answer with 200
_LEAD = 0.2  # seconds before the first arrival, for the connections to be made


class OpenLoop(BaseModel):
    """What to send.

    Attributes:
        url: ``http://host:port``.
        path: The route.
        bodies: File of one body a line.
        rate: Arrivals a second, a Poisson process.
        seconds: How long requests are sent.
        patience: Seconds after them to wait for the last answers.
        connections: Most of them; a request that finds none free waits, and its latency counts from its arrival.
        seed: Of the arrival times and of where in the bodies to begin.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    path: str
    bodies: Path
    rate: float
    seconds: float
    patience: float = 10.0
    connections: int = 512
    seed: int = 0


class Arrivals(BaseModel):
    """What came back.

    Attributes:
        sent: Requests meant to be sent.
        answered_in_time: Answers with 200 that came while requests were being sent.
        accepted: Latencies of answers with 200, from the intended time, in seconds.
        refused: Of answers with 429.
        kept: Of answers with 200, the first and every fiftieth after it: which of the bodies was asked, and the answer.
        other: Number of answers by another status, and under 0 of requests without an answer.
        processor_seconds: What this process computed while requests were being sent.
    """

    sent: int
    answered_in_time: int
    accepted: list[float]
    refused: list[float]
    kept: list[tuple[int, str]]
    other: dict[int, int]
    processor_seconds: float


class _Line(asyncio.Protocol):
    """One kept connection, which carries one request at a time."""

    def __init__(self, owner: "_Sender") -> None:
        self._owner = owner
        self._reader = AnswerReader()
        self._transport: asyncio.Transport | None = None
        self._asked: tuple[int, float] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._owner.free(self)

    def send(self, request: bytes, position: int, intended: float) -> None:
        """Send a request, by its place among the bodies, that was meant to leave at a time of the loop's clock."""
        assert self._transport is not None  # noqa: S101 - free lines are connected
        self._asked = position, intended
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        answer = self._reader.feed(data)
        if answer is not None and self._asked is not None:
            asked, self._asked = self._asked, None
            self._owner.answered(answer, *asked)
            self._owner.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.lost(self, pending=self._asked is not None)
        self._asked = None


class _Sender:
    """Arrivals, connections, and what came back."""

    def __init__(self, plan: OpenLoop) -> None:
        self.plan = plan
        self._address = address_of(plan.url)
        self._loop = asyncio.get_running_loop()
        self._free: deque[_Line] = deque()
        self._waiting: deque[tuple[bytes, int, float]] = deque()
        self._lines = 0
        self._open: set[asyncio.Task[object]] = set()
        self._pending = 0
        self._end = 0.0
        self.result = Arrivals(
            sent=0, answered_in_time=0, accepted=[], refused=[], kept=[], other={}, processor_seconds=0.0
        )

    async def run(self) -> Arrivals:
        draws = random.Random(self.plan.seed)  # noqa: S311 - a benchmark, no secret
        lines = self.plan.bodies.read_bytes().splitlines()
        requests = [post_request(self.plan.path, line) for line in lines]
        position = draws.randrange(len(requests))
        for _ in range(min(64, self.plan.connections)):
            self._connect()
        start = self._loop.time() + _LEAD
        self._end = start + self.plan.seconds
        began, intended = time.process_time(), start + draws.expovariate(self.plan.rate)
        while intended < self._end:
            pause = intended - self._loop.time()
            if pause > 0:
                await asyncio.sleep(pause)
            while intended < self._end and intended <= self._loop.time():
                self._arrived(requests[position], position, intended)
                position = (position + 1) % len(requests)
                intended += draws.expovariate(self.plan.rate)
            await asyncio.sleep(0)  # answers are read even when it runs late
        self.result.processor_seconds = time.process_time() - began
        last = self._loop.time() + self.plan.patience
        while self._pending and self._loop.time() < last:
            await asyncio.sleep(0.01)
        self._other(0, self._pending)
        return self.result

    def _arrived(self, request: bytes, position: int, intended: float) -> None:
        self.result.sent += 1
        self._pending += 1
        if self._free:
            self._free.pop().send(request, position, intended)
            return
        self._waiting.append((request, position, intended))
        self._connect()

    def _connect(self) -> None:
        if self._lines < self.plan.connections:
            self._lines += 1
            made = self._loop.create_task(self._opened())
            self._open.add(made)
            made.add_done_callback(self._open.discard)

    async def _opened(self) -> None:
        try:
            await self._loop.create_connection(lambda: _Line(self), *self._address)
        except OSError:
            self._lines -= 1  # the next arrival tries again

    def free(self, line: _Line) -> None:
        if self._waiting:
            line.send(*self._waiting.popleft())
        else:
            self._free.append(line)

    def answered(self, answer: Answer, position: int, intended: float) -> None:
        now = self._loop.time()
        self._pending -= 1
        if answer.status == 200:
            if len(self.result.accepted) % _KEPT == 0:
                self.result.kept.append((position, answer.body.decode(errors="replace")))
            self.result.accepted.append(now - intended)
            self.result.answered_in_time += now <= self._end
        elif answer.status == 429:
            self.result.refused.append(now - intended)
        else:
            self._other(answer.status, 1)

    def lost(self, line: _Line, *, pending: bool) -> None:
        self._lines -= 1
        if pending:
            self._pending -= 1
            self._other(0, 1)
        elif line in self._free:
            self._free.remove(line)

    def _other(self, status: int, count: int) -> None:
        if count:
            self.result.other[status] = self.result.other.get(status, 0) + count


async def send(plan: OpenLoop) -> Arrivals:
    """Send requests at random times, and tell what came back."""
    return await _Sender(plan).run()


if __name__ == "__main__":
    print(uvloop.run(send(OpenLoop.model_validate_json(sys.stdin.read()))).model_dump_json())
