"""HTTP/1.1 as far as a generator needs it: prepared requests, and answers with a Content-Length."""

import json
import re
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)


class Answer(NamedTuple):
    """One answer."""

    status: int
    body: bytes


def address_of(url: str) -> tuple[str, int]:
    """Return host and port of an ``http://`` address."""
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


def post_request(path: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """Write a POST of JSON, ready to be sent any number of times."""
    further = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{further}\r\n"
    )
    return head.encode() + body


def get_request(path: str) -> bytes:
    """Write a GET."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


class AnswerReader:
    """Cuts one connection's bytes into answers."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._status = 0
        self._end: int | None = None  # of the answer that is arriving; None before its headers are whole
        self._body = 0

    def feed(self, data: bytes) -> Answer | None:
        """Take bytes; return the answer that they complete.

        A client that waits for each answer before it asks again has at most one to come.

        Raises:
            ValueError: when this is no HTTP answer with a Content-Length.
        """
        self._bytes += data
        if self._end is None:
            head_end = self._bytes.find(b"\r\n\r\n")
            if head_end < 0:
                return None
            head = bytes(self._bytes[:head_end])
            status, length = _STATUS.match(head), _LENGTH.search(head)
            if status is None or length is None:
                raise ValueError(f"no HTTP answer with a Content-Length: it begins with {head[:80]!r}")
            self._status, self._body = int(status[1]), head_end + 4
            self._end = self._body + int(length[1])
        if len(self._bytes) < self._end:
            return None
        answer = Answer(self._status, bytes(self._bytes[self._body : self._end]))
        del self._bytes[: self._end]
        self._end = None
        return answer


class Client:
    """One kept connection that blocks; made again when the server closed it because it was idle.

    Args:
        url: ``http://host:port``.
        timeout: Seconds to wait for bytes.
    """

    def __init__(self, url: str, *, timeout: float = 60.0) -> None:
        self._url, self._timeout = url, timeout
        self._used = False
        self._connect()

    def exchange(self, request: bytes) -> Answer:
        """Send a request and wait for its answer.

        Raises:
            OSError: when the connection ends first.
            ValueError: when the answer is not HTTP.
        """
        kept, self._used = self._used, True
        try:
            return self._exchange(request)
        except ConnectionError:
            if not kept:
                raise
        self.close()
        self._connect()
        return self._exchange(request)

    def ask(self, request: bytes, what: str) -> Any:
        """Send a request and read its answer as JSON.

        Raises:
            RuntimeError: when it is answered with another status than 200; says which, and how the answer begins.
        """
        answer = self.exchange(request)
        if answer.status != 200:
            raise RuntimeError(
                f"{what}: answered with status {answer.status}: {answer.body[:300].decode(errors='replace')}"
            )
        return json.loads(answer.body)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _connect(self) -> None:
        self._socket = socket.create_connection(address_of(self._url), self._timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = AnswerReader()

    def _exchange(self, request: bytes) -> Answer:
        self._socket.sendall(request)
        while True:
            data = self._socket.recv(1 << 18)
            if not data:
                raise ConnectionError(f"{self._url} closed the connection without an answer")
            answer = self._reader.feed(data)
            if answer is not None:
                return answer
