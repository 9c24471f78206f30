"""What wraps every request: its identity, the log line, counters, headers, the body limit, and the last resort."""

import asyncio
import logging
import os
import re
import time
import traceback
from collections.abc import Callable, Collection
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ApiError, error_response
from api.metrics import Metrics
from api.service import StartError
from api.tracing import Tracing

logger = logging.getLogger(__name__)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_SAFE = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
)
_HEADERS = (*_SAFE, (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"))
# The interactive documentation loads its script and style from where FastAPI's page says.
_DOCS_POLICY = (
    b"default-src 'self'; script-src 'unsafe-inline' https://cdn.jsdelivr.net; "
    b"style-src 'unsafe-inline' https://cdn.jsdelivr.net; img-src 'self' data: https://fastapi.tiangolo.com; "
    b"frame-ancestors 'none'"
)
_DOCS_HEADERS = (*_SAFE, (b"content-security-policy", _DOCS_POLICY))
_TOLD = ("sentences", "tokens", "model")


class Envelope:
    """Pure ASGI middleware around the whole application.

    A route tells of its request in ``request.state``: ``method`` ("single" or "batch"), ``sentences``, ``tokens``,
    ``model`` (the served name) and ``timings`` (seconds by "queue", "tokenization" and "inference").
    The headers that it adds are not for routes to set.

    Args:
        app: the wrapped application.
        metrics: counters of the application.
        inference_routes: paths whose requests count as inference.
        max_body_bytes: largest body, enforced while it streams in.
        refuse_early: says of a request's scope why it is to be refused before its body is read; None to go on.
        tracing: records a span of each request, if tracing is on.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        inference_routes: Collection[str],
        max_body_bytes: int,
        refuse_early: Callable[[Scope], ApiError | None] | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._inference_routes = frozenset(inference_routes)
        self._max_body_bytes = max_body_bytes
        self._refuse_early = refuse_early
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or start and stop the application."""
        match scope["type"]:
            case "http":
                await self._request(scope, receive, send)
            case "lifespan":
                await self._lifespan(scope, receive, send)
            case _:
                await self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id")
        known = given if given is not None and _REQUEST_ID.fullmatch(given) else os.urandom(16).hex().encode()
        request_id = known.decode()
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        path = scope["path"]
        status = 0

        async def send_wrapped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = _DOCS_HEADERS if path == "/docs" else _HEADERS
                message["headers"] = [*message["headers"], (b"x-request-id", known), *own]
            await send(message)

        async def refuse(error: ApiError) -> None:
            await error_response(path, error, request_id)(scope, receive, send_wrapped)

        try:
            refusal = None if self._refuse_early is None else self._refuse_early(scope)
            if refusal is None:
                await self._app(scope, self._limited(headers, receive), send_wrapped)
            else:
                await refuse(refusal)
        except asyncio.CancelledError:
            # The web server gives up what was not answered in the time it has to end.
            if not status:
                message = "the server is shutting down and has no time left for this request"
                await refuse(ApiError(503, "unavailable", message, headers={"Retry-After": "1"}))
            raise
        except Exception as error:
            if isinstance(error, ApiError) and not status:  # raised where no handler of the application sees it
                await refuse(error)
                return
            # The exception's own text may quote a user's sentence; the places in the code do not.
            places = "".join(traceback.format_tb(error.__traceback__))
            fields = {"request_id": request_id, "error": type(error).__name__}
            logger.error("request %s failed at\n%s", request_id, places, extra={"fields": fields})
            if status:
                raise
            await refuse(ApiError(500, "internal_error", f"the server failed on this request; its id is {request_id}"))
        finally:
            # Without an answer, whoever served this connection has given it up.
            self._record(scope, status or 499, time.perf_counter() - started)

    def _limited(self, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        limit = self._max_body_bytes
        declared = headers.get(b"content-length", b"")
        declared_too_large = declared.isdigit() and int(declared) > limit
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = None if declared_too_large else await receive()
            if message is not None and message["type"] == "http.request":
                received += len(message.get("body", b""))
            if message is None or received > limit:
                raise ApiError(413, "body_too_large", f"the body is larger than the {limit} bytes allowed")
            return message

        return receive_limited

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        path, state, method = scope["path"], scope["state"], scope["method"]
        computes = method == "POST" and path in self._inference_routes
        # A request that was refused early met no router.
        route = str(getattr(scope.get("route"), "path", path if computes else "unmatched"))
        self._metrics.count_response(route, status)
        if computes:
            self._metrics.count_inference(state.get("method", "single"), status, seconds)
        if method not in _METHODS:
            method = "_OTHER"  # the word is the caller's
        trace_id = None if self._tracing is None else self._tracing.record(scope, method, route, status, seconds)
        # Probes and scrapes come every few seconds and say nothing.
        level = logging.DEBUG if method == "GET" and status == 200 else logging.INFO
        if logger.isEnabledFor(level):
            fields: dict[str, Any] = {
                "method": method, "route": route, "status": status, "milliseconds": round(seconds * 1000, 1)
            }  # fmt: skip
            fields |= {name: state[name] for name in _TOLD if name in state}
            fields["request_id"] = state["request_id"]
            if trace_id is not None:
                fields["trace_id"] = trace_id
            # Made by hand: the logger would walk the stack for a line number that the message names already.
            record = logging.LogRecord(logger.name, level, __file__, 0, "answered", (), None, "_record")
            record.fields = fields
            logger.handle(record)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell a failed start in one sentence, where the framework would send a traceback; flush traces at the end."""
        failure: Message | None = None

        async def send_wrapped(message: Message) -> None:
            nonlocal failure
            if message["type"] == "lifespan.startup.failed":
                failure = message
                return
            if message["type"] == "lifespan.shutdown.complete" and self._tracing is not None:
                await asyncio.to_thread(self._tracing.close)
            await send(message)

        try:
            await self._app(scope, receive, send_wrapped)
        except StartError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        except BaseException:
            if failure is not None:
                await send(failure)
            raise
