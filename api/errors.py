"""Failures, each told in the shape of the dialect whose route was called."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException

Dialect = Literal["native", "openai", "tei", "cohere"]

_LONGEST_NAME = 100  # of a field, which a caller may have made up


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
        # Starlette's exception, because its middleware answers it with the handler that is registered for it.
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
_DIALECTS: dict[str, Dialect] = {
    "/v1/embeddings": "openai",
    "/v1/models": "openai",
    "/v1/score": "openai",  # vLLM's, which has OpenAI's errors
    "/score": "openai",
    "/": "tei",
    "/embed": "tei",
    "/similarity": "tei",
    "/rerank": "tei",
    "/tokenize": "tei",
    "/v1/rerank": "cohere",
    "/v2/rerank": "cohere",
}


def dialect_of(path: str) -> Dialect:
    """Return the dialect that the path belongs to; paths that no dialect claims speak the native one."""
    return "openai" if path.startswith("/v1/models/") else _DIALECTS.get(path, "native")


def error_content(path: str, error: ApiError, request_id: str) -> tuple[int, dict[str, Any]]:
    """Return status and JSON of a failure in the dialect of its path."""
    status_code = error.status_code
    match dialect_of(path):
        case "openai":
            # OpenAI's own API answers 400 where FastAPI says 422; its clients map 400 to BadRequestError.
            status_code = 400 if status_code == 422 else status_code
            body = {"message": error.detail, "type": _openai_type(status_code), "param": error.field}
            return status_code, {"error": {**body, "code": error.code}}
        case "tei":
            status_code, error_type = _tei_type(error)
            return status_code, {"error": error.detail, "error_type": error_type}
        case "cohere":
            return 400 if status_code == 422 else status_code, {"id": request_id, "message": error.detail}
        case "native":
            body = {"code": error.code, "message": error.detail, "field": error.field, "request_id": request_id}
            return status_code, {"error": body}


def error_response(path: str, error: ApiError, request_id: str) -> Response:
    """Build the answer to a failed request in the dialect of its path."""
    status_code, content = error_content(path, error, request_id)
    return JSONResponse(content, status_code, error.headers)


def _openai_type(status_code: int) -> str:
    if status_code == 429:
        return "rate_limit_error"
    return "server_error" if status_code >= 500 else "invalid_request_error"


def _tei_type(error: ApiError) -> tuple[int, str]:
    """Return Text Embeddings Inference's status and type; it has none for the rest of HTTP, which keeps its status."""
    match error.status_code, error.code:
        case 422, "empty_input":
            return 400, "Empty"
        case 400, _:
            return 422, "Validation"
        case 429, _:
            return 429, "Overloaded"
        case 500, "model_failed":
            return 424, "Backend"
        case 503, _:
            return 503, "Unhealthy"
        case status, _:
            return status, "Backend" if status >= 500 else "Validation"


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer an ``ApiError``, or what the router raises by itself (404, 405)."""
    if not isinstance(error, HTTPException):
        raise error
    return error_response(request.scope["path"], _as_api_error(request, error), request.state.request_id)


def refusal_of(error: ValidationError) -> ApiError:
    """Tell why a body that is JSON is not of the route's shape; the caller's text is not repeated."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    sentences = [_sentence(detail) for detail in details[:3]]
    if len(details) > len(sentences):
        sentences.append(f"and {len(details) - len(sentences)} more")
    return ApiError(422, "invalid_request", "; ".join(sentences), field=_field(details[0]["loc"]) or None)


def _as_api_error(request: Request, error: HTTPException) -> ApiError:
    if isinstance(error, ApiError):
        return error
    headers = dict(error.headers or {})
    match error.status_code:
        case 404:
            message = f"there is nothing at this path; {request.base_url}docs lists the routes"
        case 405:
            # The router names the methods of the first route at this path; there may be several.
            routes = [route for route in request.app.routes if getattr(route, "path", None) == request.scope["path"]]
            methods = {method for route in routes for method in route.methods}
            allowed = headers["Allow"] = ", ".join(sorted(methods)) or headers["Allow"]
            message = f"{request.method} is not allowed here; allowed: {allowed}"
        case _:
            message = error.detail or HTTPStatus(error.status_code).phrase
    code = _CODES.get(error.status_code, "error")
    return ApiError(error.status_code, code, message, headers=headers)


def _field(location: Sequence[Any]) -> str:
    return ".".join(map(str, location))[:_LONGEST_NAME]


def _sentence(detail: Mapping[str, Any]) -> str:
    field = _field(detail["loc"])
    match detail["type"]:
        case "missing":
            return f"{field or 'the body'} is missing"
        case "extra_forbidden":
            return f"{field} is not a field of this request"
        case _:
            return f"{field or 'the body'}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"
