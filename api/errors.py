"""Failures, each told in the shape of the dialect whose route was called."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

Dialect = Literal["native", "openai"]


class ApiError(HTTPException):
    """A failure with a machine-readable code; the route's dialect decides how it is written.

    Args:
        status_code: HTTP status.
        code: stable, lower_snake_case.
        message: a sentence for the caller: what came, what is allowed.
        field: the field of the request that is at fault, if one is.
        headers: sent with the answer, such as ``Retry-After``.
    """

    def __init__(
        self,
        status_code: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        # Starlette's exception, because FastAPI rewrites any other one that is raised while it reads a body.
        super().__init__(status_code, message, headers)
        self.code = code
        self.field = field


_CODES: dict[int, str] = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    422: "invalid_request",
    500: "internal_error",
    503: "unavailable",
}


def dialect_of(path: str) -> Dialect:
    """Return the dialect that the path belongs to; paths that no dialect claims speak the native one."""
    if path == "/v1/embeddings" or path == "/v1/models" or path.startswith("/v1/models/"):
        return "openai"
    return "native"


def error_response(path: str, error: ApiError, request_id: str) -> Response:
    """Build the answer to a failed request in the dialect of its path."""
    match dialect_of(path):
        case "openai":
            return _openai(error)
        case "native":
            return _native(error, request_id)


def _native(error: ApiError, request_id: str) -> Response:
    body = {"code": error.code, "message": error.detail, "field": error.field, "request_id": request_id}
    return JSONResponse({"error": body}, error.status_code, error.headers)


def _openai(error: ApiError) -> Response:
    # OpenAI's own API answers 400 where FastAPI says 422; its clients map 400 to BadRequestError.
    status_code = 400 if error.status_code == 422 else error.status_code
    match status_code:
        case 429:
            kind = "rate_limit_error"
        case status if status >= 500:
            kind = "server_error"
        case _:
            kind = "invalid_request_error"
    body = {"message": error.detail, "type": kind, "param": error.field, "code": error.code}
    return JSONResponse({"error": body}, status_code, error.headers)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer an ``ApiError``, or what the router raises by itself (404, 405)."""
    if not isinstance(error, HTTPException):
        raise error
    return error_response(request.url.path, _as_api_error(request, error), request.state.request_id)


async def on_validation_error(request: Request, error: Exception) -> Response:
    """Answer a body that is JSON but not of the route's shape; the caller's text is not repeated."""
    if not isinstance(error, RequestValidationError):
        raise error
    details = error.errors()
    sentences = [_sentence(detail) for detail in details[:3]]
    if len(details) > len(sentences):
        sentences.append(f"and {len(details) - len(sentences)} more")
    field = _field(details[0]["loc"]) or None
    refusal = ApiError(422, "invalid_request", "; ".join(sentences), field=field)
    return error_response(request.url.path, refusal, request.state.request_id)


def _as_api_error(request: Request, error: HTTPException) -> ApiError:
    if isinstance(error, ApiError):
        return error
    match error.status_code:
        case 404:
            message = f"there is nothing at this path; {request.base_url}docs lists the routes"
        case 405:
            allowed = (error.headers or {}).get("Allow", "another method")
            message = f"{request.method} is not allowed here; allowed: {allowed}"
        case _:
            message = error.detail or HTTPStatus(error.status_code).phrase
    code = _CODES.get(error.status_code, "error")
    return ApiError(error.status_code, code, message, headers=error.headers)


def _field(location: Sequence[Any]) -> str:
    return ".".join(str(part) for part in location if part != "body")


def _sentence(detail: Mapping[str, Any]) -> str:
    field = _field(detail["loc"])
    match detail["type"]:
        case "missing":
            return f"{field or 'the body'} is missing"
        case "extra_forbidden":
            return f"{field} is not a field of this request"
        case _:
            return f"{field or 'the body'}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"
