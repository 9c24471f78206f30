"""Refusing under overload for a tenth of what a request costs: in the web server's protocol, before it is parsed."""

import asyncio
import os
from collections.abc import Callable

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.errors import ApiError, error_content

_REQUEST_ID = "0123456789abcdef" * 2


def shedding_protocol(paths: frozenset[str], refuses: Callable[[str], bool]) -> type[asyncio.Protocol]:
    """Make the protocol class for ``uvicorn.Config(http=...)``.

    A POST request to one of the paths that has arrived whole, on a connection that owes no other answer, is answered
    with 429 in the dialect of its path when ``refuses`` says so. Everything else is parsed as ever.

    Args:
        paths: that may be refused.
        refuses: asked with the path of each such request; counts what it refuses.
    """
    answers = {path.encode(): _answer(path) for path in paths}
    names = {path.encode(): path for path in paths}

    class SheddingProtocol(HttpToolsProtocol):
        """Uvicorn's protocol, which refuses first."""

        def data_received(self, data: bytes) -> None:
            """Refuse a request, or let it be parsed."""
            path = None if self.cycle is not None and not self.cycle.response_complete else _whole_post(data)
            answer = None if path is None else answers.get(path)
            if path is None or answer is None or not refuses(names[path]):
                super().data_received(data)
                return
            self.transport.write(answer.replace(_REQUEST_ID.encode(), os.urandom(16).hex().encode()))
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    return SheddingProtocol


def _whole_post(data: bytes) -> bytes | None:
    """Return the path of a POST request that is whole in these bytes and keeps its connection; else None."""
    if not data.startswith(b"POST "):
        return None
    end = data.find(b"\r\n\r\n")
    path_end = data.find(b" HTTP/1.1\r\n", 5, end)
    if path_end < 0:
        return None
    head = data[path_end:end].lower()
    at = head.find(b"\r\ncontent-length:")
    if at < 0 or b"\r\nconnection: close" in head:
        return None
    length = head[at + 17 :].split(b"\r\n", 1)[0].strip()
    is_whole = length.isdigit() and len(data) == end + 4 + int(length)
    return data[5:path_end].partition(b"?")[0] if is_whole else None


def _answer(path: str) -> bytes:
    error = ApiError(429, "overloaded", "the server cannot keep up; come back in a second")
    status, content = error_content(path, error, _REQUEST_ID)
    body = orjson.dumps(content)
    head = (
        f"HTTP/1.1 {status} Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
        f"x-request-id: {_REQUEST_ID}\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
