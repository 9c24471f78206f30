"""One request with its retries, as a generator: what is sent when; the clients only do the input and output.

The generator yields an ``Attempt`` for each time that something is to be sent, and is sent what came of it. So the
synchronous and the asynchronous client run the same lines, and differ in how they wait and write.
"""

import random
import time
import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

import httpx

from simlstm.client.errors import (
    ConnectionFailedError,
    InvalidAnswerError,
    ServerError,
    TimedOutError,
    UnavailableError,
)
from simlstm.client.failures import failure_of
from simlstm.client.patience import Retries, Timeouts

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked of the server.

    Args:
        method: of HTTP.
        path: below the server's address.
        body: JSON; None sends none.
        good: statuses that are an answer, not a failure.
        once: whether it is never sent again.
    """

    method: str
    path: str
    body: bytes | None = field(default=None, repr=False)
    good: frozenset[int] = frozenset({200})
    once: bool = False

    @property
    def name(self) -> str:
        """How messages speak of it."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sending of a call.

    Args:
        call: what is asked.
        headers: of this request.
        pause: seconds to wait before it is sent.
        end: when patience ends, on the monotonic clock.
        timeouts: the caller's.
    """

    call: Call
    headers: Mapping[str, str]
    pause: float
    end: float
    timeouts: Timeouts

    @property
    def left(self) -> float:
        """Seconds until patience ends, never quite 0, which some of the transport's layers take for no limit."""
        return max(self.end - time.monotonic(), 0.001)

    @property
    def limits(self) -> httpx.Timeout:
        """The transport's timeouts, none of them beyond the end of patience."""
        left, timeouts = self.left, self.timeouts
        read = min(timeouts.read, left)
        return httpx.Timeout(connect=min(timeouts.connect, left), read=read, write=read, pool=left)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server, or something before it, answered."""

    status: int
    headers: Mapping[str, str]
    content: bytes


Reply: TypeAlias = Answer | httpx.HTTPError | TimeoutError
Steps: TypeAlias = Generator[Attempt, Reply, Result]


def exchange(call: Call, timeouts: Timeouts, retries: Retries) -> Steps[Answer]:
    """Send a call until it is answered, refused for good, or patience ends.

    Every attempt has the same ``x-request-id``, so that the server's log shows them as one. A request that the server
    has and is slow with is not sent again: a second one would make it slower still.

    Raises:
        ServerError: the last attempt's failure.
    """
    request_id = uuid.uuid4().hex
    end = time.monotonic() + timeouts.total
    headers = {"x-request-id": request_id}
    if call.body is not None:
        headers["content-type"] = "application/json"
    pause, attempts = 0.0, 0
    before: ServerError | None = None
    while True:
        reply = yield Attempt(call, headers, pause, end, timeouts)
        attempts += 1
        if isinstance(reply, Answer) and reply.status in call.good:
            return reply
        failure = _failure(call, reply, request_id)
        pause = retries.pause(attempts, random.random(), failure.retry_after)  # noqa: S311  # jitter, no secret
        helps = isinstance(failure, UnavailableError | ConnectionFailedError)
        if call.once or not helps or attempts > retries.most or time.monotonic() + pause >= end:
            # Out of patience after a refusal: the refusal says more of the reason.
            raise failure from (before or (reply if isinstance(reply, Exception) else None))
        before = failure


def _failure(call: Call, reply: Reply, request_id: str) -> ServerError:
    match reply:
        case Answer(status, headers, content):
            return failure_of(call.name, status, headers, content, request_id)
        case httpx.ConnectTimeout():
            # Nothing has reached the server yet: the same as no connection.
            return ConnectionFailedError(f"{call.name}: no connection in time", request_id=request_id)
        case httpx.TimeoutException() | TimeoutError():
            return TimedOutError(f"{call.name}: no answer in time", request_id=request_id)
        case httpx.DecodingError():
            return InvalidAnswerError(f"{call.name}: the answer's content encoding is broken", request_id=request_id)
        case error:
            reason = str(error) or type(error).__name__
            return ConnectionFailedError(f"{call.name}: {reason}", request_id=request_id)
