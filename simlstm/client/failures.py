"""An answer that is a failure, read into the exception that tells it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from simlstm.client.errors import (
    AuthenticationError,
    DeadlineExceededError,
    InvalidAnswerError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    ServerError,
    UnavailableError,
)
from simlstm.client.patience import retry_after_of


@dataclass(frozen=True, slots=True)
class _Details:
    message: str
    code: str | None = None
    field: str | None = None
    request_id: str | None = None


def failure_of(
    name: str, status: int, headers: Mapping[str, str], content: bytes, request_id: str | None
) -> ServerError:
    """Return the exception for an answer that is none.

    Args:
        name: method and path, for messages.
        status: of the answer.
        headers: of the answer; names in lower case, or a mapping that ignores case.
        content: of the answer: the native error body, OpenAI's, or what another server made of it.
        request_id: what was sent; the answer's own goes before it.
    """
    details = _details(content)
    if details is None:
        kind = headers.get("content-type", "").partition(";")[0] or "no content type"
        details = _Details(f"{name}: answered {_spoken(status)} with {kind} that explains nothing")
    return _kind(status, details.code)(
        details.message,
        status=status,
        code=details.code,
        field=details.field,
        request_id=details.request_id or headers.get("x-request-id", request_id),
        retry_after=retry_after_of(headers),
    )


def _kind(status: int, code: str | None) -> type[ServerError]:
    match status:
        case 401 | 403:
            return AuthenticationError
        case 404 | 405:
            return NotFoundError
        case 429:
            return OverloadedError
        case 504 if code == "deadline_exceeded":
            return DeadlineExceededError
        case 502 | 503 | 504:
            return UnavailableError
        case 501:
            return InvalidRequestError
        case _ if 400 <= status < 500:
            return InvalidRequestError
        case _ if status >= 500:
            return ServerError
        case _:
            return InvalidAnswerError


def _details(content: bytes) -> _Details | None:
    """Read what an error body says; None when it is no error body that this client knows."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    # The rerank routes speak Cohere's dialect, where the message stands at the top.
    error = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return None
    texts = {key: value for key, value in error.items() if isinstance(value, str)}
    return _Details(
        texts["message"], texts.get("code"), texts.get("field", texts.get("param")), texts.get("request_id")
    )


def _spoken(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
