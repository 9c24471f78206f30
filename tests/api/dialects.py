"""Every route with a body: a request that it answers, and the shape of its failures."""

from typing import Any

import httpx2

from api.app import create_app
from api.schemas import cohere, native, openai, tei
from api.settings import Settings
from tests.api.tiny import build_model

TEI = ("/", "/embed", "/similarity", "/rerank", "/tokenize")
COHERE = ("/v1/rerank", "/v2/rerank")
OPENAI = ("/v1/embeddings", "/v1/score", "/score")
NATIVE = ("/v1/similarity", "/v1/similarity/matrix")
REQUESTS: dict[str, dict[str, Any]] = {
    "/v1/similarity": {"sentence1": "a", "sentence2": "b"},
    "/v1/similarity/matrix": {"sentences1": ["a"], "sentences2": ["b"]},
    "/v1/embeddings": {"model": "tiny", "input": "a"},
    "/v1/score": {"model": "tiny", "text_1": "a", "text_2": "b"},
    "/score": {"text_1": "a", "text_2": "b"},
    "/": {"inputs": "a"},
    "/embed": {"inputs": ["a"]},
    "/similarity": {"inputs": {"source_sentence": "a", "sentences": ["b"]}},
    "/rerank": {"query": "a", "texts": ["b"]},
    "/tokenize": {"inputs": "a"},
    "/v1/rerank": {"model": "tiny", "query": "a", "documents": ["b"]},
    "/v2/rerank": {"model": "tiny", "query": "a", "documents": ["b"]},
}
COMPUTING = {path: fields for path, fields in REQUESTS.items() if path != "/tokenize"}
NAMED = [path for path in COMPUTING if path not in TEI]
DOCUMENT = create_app(Settings(), build_model()).openapi()
_TEI_TYPES = {400: "Empty", 424: "Backend", 429: "Overloaded", 500: "Backend", 503: "Unhealthy", 504: "Backend"}


def with_texts(fields: Any, text: str) -> Any:
    """Return a request with another text in place of each of its texts."""
    match fields:
        case str():
            return text
        case list():
            return [with_texts(item, text) for item in fields]
        case _:
            return {key: value if key == "model" else with_texts(value, text) for key, value in fields.items()}


def refused(path: str) -> int:
    """Return the status with which the dialect of a path refuses a body of another shape."""
    return 422 if path in NATIVE or path in TEI else 400


def check_shape(response: httpx2.Response, path: str, status: int, *, documented: bool = True) -> str:
    """Hold a failure against its dialect and the OpenAPI document, and return its message."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    if documented:
        assert str(status) in DOCUMENT["paths"][path]["post"]["responses"]
    content = response.json()
    if path in OPENAI or path.startswith("/v1/models"):
        error = openai.ErrorResponse.model_validate(content, extra="forbid").error
        expected = {429: "rate_limit_error"}.get(status, "server_error" if status >= 500 else "invalid_request_error")
        assert error.type == expected
        assert error.code
        message = error.message
    elif path in COHERE:
        refusal = cohere.ErrorResponse.model_validate(content, extra="forbid")
        assert refusal.id == response.headers["x-request-id"]
        message = refusal.message
    elif path in TEI:
        failure = tei.ErrorResponse.model_validate(content, extra="forbid")
        assert failure.error_type == _TEI_TYPES.get(status, "Validation")
        message = failure.error
    else:
        detail = native.ErrorResponse.model_validate(content, extra="forbid").error
        assert detail.request_id == response.headers["x-request-id"]
        assert detail.code
        message = detail.message
    assert message
    return message
