"""The failures of a route for the OpenAPI document, with the status and the shape that its dialect gives them."""

from typing import Any

from pydantic import BaseModel

from api.errors import ApiError, dialect_of, error_content
from api.schemas import cohere, native, openai, tei

_ID = "6f1c2b0e9d7a4c35b8e1f02a7d64c913"
_MODELS: dict[str, type[BaseModel]] = {
    "native": native.ErrorResponse,
    "openai": openai.ErrorResponse,
    "tei": tei.ErrorResponse,
    "cohere": cohere.ErrorResponse,
}
_DESCRIBED = (
    (ApiError(422, "invalid_request", "the body is missing"), "The request is not of this shape, or beyond a limit."),
    (ApiError(422, "empty_input", "an empty array came; at least one sentence is needed"), "There is no text."),
    (ApiError(400, "invalid_json", "the body is not JSON: Expecting value at line 1, column 1"), "Not JSON."),
    (ApiError(401, "invalid_api_key", "the API key is missing"), "The API key is missing or wrong."),
    (ApiError(404, "model_not_found", "no model 'x' is served here", field="model"), "No model of this name."),
    (ApiError(413, "body_too_large", "the body is larger than the 4194304 bytes allowed"), "The body is too large."),
    (ApiError(415, "unsupported_media_type", "the content type is missing"), "The content type is not JSON."),
    (ApiError(429, "overloaded", "the queue is full"), "The queue is full; Retry-After says when to come back."),
    (ApiError(500, "model_failed", "the model failed on this request"), "The model failed on this request."),
    (ApiError(503, "unavailable", "the model is not being served"), "The model's worker is not running."),
    (ApiError(504, "deadline_exceeded", "no answer within the deadline of 30000 ms"), "The deadline passed."),
)
READS_A_BODY = ("invalid_request", "empty_input", "invalid_json", "invalid_api_key", "body_too_large",
                "unsupported_media_type")  # fmt: skip
COMPUTES = (*READS_A_BODY, "overloaded", "model_failed", "unavailable", "deadline_exceeded")
COMPUTES_BY_NAME = (*COMPUTES, "model_not_found")
_TIMES = {
    "x-compute-type": "cpu or gpu",
    "x-compute-time": "milliseconds of the whole",
    "x-compute-characters": "characters of all texts",
    "x-compute-tokens": "tokens of all texts, after truncation",
    "x-total-time": "milliseconds of the whole",
    "x-tokenization-time": "milliseconds",
    "x-queue-time": "milliseconds of waiting for the model",
    "x-inference-time": "milliseconds of the model",
}


def _headers(**described: str) -> dict[int | str, dict[str, Any]]:
    headers = {"x-truncated-inputs": "how many texts were cut at the model's token limit"} | described
    return {
        200: {
            "headers": {
                name: {
                    "description": description,
                    "schema": {"type": "string" if name == "x-compute-type" else "integer"},
                }
                for name, description in headers.items()
            }
        }
    }


TRUNCATION = _headers()
TIMES = _headers(**_TIMES)


def documented(path: str, codes: tuple[str, ...]) -> dict[int | str, dict[str, Any]]:
    """Describe the failures with these codes as the path's dialect tells them: FastAPI's argument ``responses``."""
    responses: dict[int | str, dict[str, Any]] = {}
    for error, description in _DESCRIBED:
        if error.code not in codes:
            continue
        status_code, example = error_content(path, error, _ID)
        if status_code in responses:
            responses[status_code]["description"] += f" {description}"
            continue
        responses[status_code] = {
            "model": _MODELS[dialect_of(path)],
            "description": description,
            "content": {"application/json": {"example": example}},
        }
        if error.code == "overloaded":
            seconds = {"description": "seconds after which to come back", "schema": {"type": "integer", "minimum": 1}}
            responses[status_code]["headers"] = {"Retry-After": seconds}
    return responses
