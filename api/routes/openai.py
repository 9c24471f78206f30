"""OpenAI's dialect: embeddings and models."""

import asyncio
import base64
import json
from typing import Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Request, Response

from api.errors import ApiError
from api.facts import Facts
from api.guard import GuardedRoute
from api.limits import check_sentences
from api.schemas.openai import EmbeddingRequest, EmbeddingResponse, ErrorResponse, Model, ModelList
from api.service import Service
from api.work import Work

EMBEDDINGS = "/v1/embeddings"
_REFUSALS = {
    400: "The request is not JSON, not of this shape, or beyond a limit.",
    401: "The API key is missing or wrong.",
    404: "No model of this name is served.",
    413: "The body is too large.",
    415: "The content type is not application/json.",
    429: "The queue is full; Retry-After says when to come back.",
    500: "The model failed on this request.",
    503: "The model's worker is not running.",
    504: "The deadline passed.",
}
_MODEL_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse, "description": _REFUSALS[status]} for status in (401, 404)
}
# "default" keeps FastAPI from documenting a 422 of its own shape, which this dialect never sends.
_EMBEDDING_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse, "description": description} for status, description in _REFUSALS.items()
} | {"default": {"model": ErrorResponse, "description": "Any other failure."}}
_FLOATS_WRITTEN_ON_THE_EVENT_LOOP = 16_384

router = APIRouter(route_class=GuardedRoute, tags=["openai"])


@router.post(EMBEDDINGS, summary="Embed texts", response_model=EmbeddingResponse, responses=_EMBEDDING_ERRORS)
async def embed(request: Request, body: EmbeddingRequest) -> Response:
    """Embed one text or many; the header `x-truncated-inputs` says how many were cut at the model's token limit."""
    service: Service = request.app.state.service
    model = service.find(body.model)
    size = model.embedding_size
    if body.dimensions not in (None, size):
        message = f"dimensions is {body.dimensions}; this model's embeddings have {size} and cannot be shortened"
        raise ApiError(400, "unsupported_dimensions", message, field="dimensions")
    check_sentences(service.settings, input=body.input)
    texts = [body.input] if isinstance(body.input, str) else body.input
    request.state.method = "single" if len(texts) == 1 else "batch"
    outcome = await service.compute(request, model, Work(texts, embeddings=True))
    arguments = (outcome.embeddings, body.encoding_format or "float", model.name, sum(outcome.token_counts))
    if outcome.embeddings.size > _FLOATS_WRITTEN_ON_THE_EVENT_LOOP:
        content = await asyncio.to_thread(_write, *arguments)
    else:
        content = _write(*arguments)
    headers = {"x-truncated-inputs": str(sum(outcome.truncated))}
    return Response(content, media_type="application/json", headers=headers)


@router.get("/v1/models", summary="List the served models", responses={401: _MODEL_ERRORS[401]})
async def models(request: Request) -> ModelList:
    """List the served models."""
    service: Service = request.app.state.service
    return ModelList(data=[_card(model) for model in service.all_facts])


@router.get("/v1/models/{name:path}", summary="One served model", responses=_MODEL_ERRORS)
async def model(request: Request, name: str) -> Model:
    """Describe the served model of this name."""
    service: Service = request.app.state.service
    return _card(service.find(name))


def _card(model: Facts) -> Model:
    return Model(id=model.name, created=model.since, dtype=model.dtype)


def _write(matrix: npt.NDArray[np.float32], encoding_format: str, name: str, tokens: int) -> bytes:
    """Write the answer row by row: one long call into the JSON encoder would hold up all other threads."""
    rows = []
    for index, row in enumerate(matrix):
        value: object = row.tolist()
        if encoding_format == "base64":
            value = base64.b64encode(row.astype("<f4").tobytes()).decode("ascii")
        rows.append(json.dumps({"object": "embedding", "index": index, "embedding": value}, allow_nan=False))
    usage = json.dumps({"prompt_tokens": tokens, "total_tokens": tokens})
    return f'{{"object":"list","data":[{",".join(rows)}],"model":{json.dumps(name)},"usage":{usage}}}'.encode()
