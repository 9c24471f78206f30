"""What every guarded route checks before its body is looked at: the key and the content type; then the body itself."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect

from api.bodies import read_json
from api.errors import ApiError, refusal_of
from api.keys import is_accepted

_BYTES_READ_ON_THE_EVENT_LOOP = 262_144  # some milliseconds


class GuardedRoute(APIRoute):
    """A route that asks for an API key where keys are set, and reads its body as strict JSON.

    The endpoint of a route with a body takes the request and the argument ``body``, and returns a response. It is
    called here: FastAPI's own handling of a body takes longer than all else on the event loop. The OpenAPI document is
    still FastAPI's.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request to this route."""
        return self._without_body() if self.body_field is None else self._with_body()

    def _without_body(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            _check_key(request)
            return await handle(request)

        return guarded

    def _with_body(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = self.endpoint
        validate = TypeAdapter[Any](get_type_hints(endpoint, include_extras=True)["body"]).validate_python

        async def guarded(request: Request) -> Response:
            _check_key(request)
            _check_content_type(request)
            content = await _body(request)
            if not content:
                raise ApiError(422, "invalid_request", "the body is missing")
            try:
                large = len(content) > _BYTES_READ_ON_THE_EVENT_LOOP
                body = await asyncio.to_thread(read, content) if large else read(content)
            except ValidationError as error:
                raise refusal_of(error) from error
            response: Response = await endpoint(request, body)
            return response

        def read(content: bytes) -> Any:
            return validate(read_json(content))

        return guarded


async def _body(request: Request) -> bytes:
    try:
        return await request.body()
    except ClientDisconnect as error:
        raise ApiError(499, "client_left", "the client left before its request was whole") from error


def _check_key(request: Request) -> None:
    hashes = request.app.state.service.settings.key_hashes
    if not hashes:
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if not is_accepted(given.strip(), hashes) or scheme.lower() != "bearer":
        what = "is not accepted" if given else "is missing"
        message = f"the API key {what}; send the header Authorization: Bearer <key>"
        raise ApiError(401, "invalid_api_key", message, headers={"WWW-Authenticate": "Bearer"})


def _check_content_type(request: Request) -> None:
    content_type = request.headers.get("content-type", "")
    if content_type != "application/json":
        media_type = content_type.partition(";")[0].strip().lower()
        if media_type != "application/json" and not re.fullmatch(r"application/[\w.+-]+\+json", media_type):
            message = f"the content type is {media_type or 'missing'}; send Content-Type: application/json"
            raise ApiError(415, "unsupported_media_type", message)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        message = f"the content encoding {encoding} is not supported; send the body as it is"
        raise ApiError(415, "unsupported_media_type", message)
