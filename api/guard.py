"""What every guarded route checks before its body is looked at: the key, the content type, strict JSON."""

import json
import re
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.errors import ApiError
from api.keys import is_accepted

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


class GuardedRoute(APIRoute):
    """A route that asks for an API key where keys are set, and reads bodies as strict JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's own handler."""
        handle = super().get_route_handler()
        has_body = self.body_field is not None

        async def guarded(request: Request) -> Response:
            _check_key(request)
            if has_body:
                _check_content_type(request)
            return await handle(_StrictRequest(request.scope, request.receive))

        return guarded


class _StrictRequest(Request):
    async def json(self) -> Any:
        """Parse the body: UTF-8 only, no NaN, half surrogate pairs replaced by U+FFFD as the WHATWG encoder does."""
        body = await self.body()
        try:
            value = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
            return _without_surrogates(value) if _SURROGATE_ESCAPE.search(body) else value
        except UnicodeDecodeError as error:
            message = f"the body is not UTF-8: {error.reason} at byte {error.start}"
            raise ApiError(400, "invalid_json", message) from error
        except json.JSONDecodeError as error:
            message = f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
            raise ApiError(400, "invalid_json", message) from error
        except RecursionError as error:
            raise ApiError(400, "invalid_json", "the body is nested too deeply") from error
        except ValueError as error:  # NaN and its kind, and integers of more digits than Python parses
            raise ApiError(400, "invalid_json", f"the body is not JSON: {error}") from error


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
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not re.fullmatch(r"application/[\w.+-]+\+json", media_type):
        message = f"the content type is {media_type or 'missing'}; send Content-Type: application/json"
        raise ApiError(415, "unsupported_media_type", message)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        message = f"the content encoding {encoding} is not supported; send the body as it is"
        raise ApiError(415, "unsupported_media_type", message)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return _LONE_SURROGATE.sub("\ufffd", value)
        case list():
            return [_without_surrogates(item) for item in value]
        case dict():
            return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
        case _:
            return value
