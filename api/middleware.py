"""What wraps every request: its identity, the log line, counters, headers, the body limit, and the last resort."""

import logging
import re
import time
import traceback
import uuid
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ApiError, error_response
from api.metrics import Metrics, failure_of
from api.service import StartError

logger = logging.getLogger(__name__)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_POLICY = "default-src 'none'; frame-ancestors 'none'"
# The interactive documentation loads its script and style from where FastAPI's page says.
_DOCS_POLICY = (
    "default-src 'self'; script-src 'unsafe-inline' https://cdn.jsdelivr.net; "
    "style-src 'unsafe-inline' https://cdn.jsdelivr.net; img-src 'self' data: https://fastapi.tiangolo.com; "
    "frame-ancestors 'none'"
)


class Envelope:
    """Pure ASGI middleware around the whole application.

    Args:
        app: the wrapped application.
        metrics: counters of the application.
        inference_routes: paths whose requests count as inference.
        max_body_bytes: largest body, enforced while it streams in.
    """

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, inference_routes: Collection[str], max_body_bytes: int
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._inference_routes = inference_routes
        self._max_body_bytes = max_body_bytes

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
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        path = scope["path"]
        status = 0

        async def send_wrapped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answer = MutableHeaders(scope=message)
                answer["x-request-id"] = request_id
                answer["x-content-type-options"] = "nosniff"
                answer["referrer-policy"] = "no-referrer"
                answer["x-frame-options"] = "DENY"
                answer["content-security-policy"] = _DOCS_POLICY if path == "/docs" else _POLICY
                answer["cache-control"] = "no-store"
            await send(message)

        try:
            await self._app(scope, self._limited(headers, receive), send_wrapped)
        except Exception as error:
            # The exception's own text may quote a user's sentence; the places in the code do not.
            places = "".join(traceback.format_tb(error.__traceback__))
            logger.error("request_id=%s failed with %s\n%s", request_id, type(error).__name__, places)
            if status:
                raise
            failure = ApiError(500, "internal_error", f"the server failed on this request; its id is {request_id}")
            await error_response(path, failure, request_id)(scope, receive, send_wrapped)
        finally:
            self._record(scope, status, time.perf_counter() - started)

    def _limited(self, headers: Headers, receive: Receive) -> Receive:
        limit = self._max_body_bytes
        declared = headers.get("content-length", "")
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive() if not declared.isdigit() or int(declared) <= limit else None
            if message is not None and message["type"] == "http.request":
                received += len(message.get("body", b""))
            if message is None or received > limit:
                raise ApiError(413, "body_too_large", f"the body is larger than the {limit} bytes allowed")
            return message

        return receive_limited

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        self._metrics.responses.labels(route, str(status)).inc()
        state = scope["state"]
        if scope["path"] in self._inference_routes and scope["method"] == "POST":
            method = state.get("method", "single")
            self._metrics.request_count.labels(method).inc()
            if status == 200:
                self._metrics.request_success.labels(method).inc()
                self._metrics.request_duration.observe(seconds)
            else:
                self._metrics.request_failure.labels(failure_of(status)).inc()
        # Probes and scrapes come every few seconds and say nothing.
        level = logging.DEBUG if scope["method"] == "GET" and status == 200 else logging.INFO
        logger.log(
            level,
            "method=%s route=%s status=%d milliseconds=%.1f sentences=%d tokens=%d request_id=%s",
            scope["method"],
            route,
            status,
            seconds * 1000,
            state.get("sentences", 0),
            state.get("tokens", 0),
            state["request_id"],
        )

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell a failed start in one sentence, where the framework would send a traceback."""
        failure: Message | None = None

        async def send_wrapped(message: Message) -> None:
            nonlocal failure
            if message["type"] == "lifespan.startup.failed":
                failure = message
            else:
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
