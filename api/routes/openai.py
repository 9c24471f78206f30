"""OpenAI's dialect: embeddings and models."""

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Request, Response

from api.bodies import answer, array_of
from api.errors import ApiError
from api.facts import Facts
from api.guard import GuardedRoute
from api.limits import check_sentences
from api.refusals import COMPUTES_BY_NAME, TRUNCATION, documented
from api.schemas.openai import EmbeddingRequest, EmbeddingResponse, Model, ModelList
from api.service import Service
from api.work import Work

EMBEDDINGS = "/v1/embeddings"
MODELS = "/v1/models"

router = APIRouter(route_class=GuardedRoute, tags=["openai"])


@router.post(
    EMBEDDINGS,
    summary="Embed texts",
    response_model=EmbeddingResponse,
    responses=TRUNCATION | documented(EMBEDDINGS, COMPUTES_BY_NAME),
)
async def embed(request: Request, body: EmbeddingRequest) -> Response:
    """Embed one text or many; the header `x-truncated-inputs` says how many were cut at the model's token limit."""
    service: Service = request.app.state.service
    model = service.find(body.model)
    size = model.embedding_size
    if body.dimensions not in (None, size):
        message = f"dimensions is {body.dimensions}; this model's embeddings have {size} and cannot be shortened"
        raise ApiError(400, "unsupported_dimensions", message, field="dimensions")
    check_sentences(service, model, input=body.input)
    texts = [body.input] if isinstance(body.input, str) else body.input
    request.state.method = "single" if len(texts) == 1 else "batch"
    outcome = await service.compute(request, model, Work(texts, embeddings=True))
    rows = _rows(outcome.embeddings, body.encoding_format == "base64")
    tokens = sum(outcome.token_counts)
    content = {
        "object": "list",
        "data": await array_of(rows, outcome.embeddings.size),
        "model": model.name,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return answer(content, {"x-truncated-inputs": str(sum(outcome.truncated))})


@router.get(MODELS, summary="List the served models", responses=documented(MODELS, ("invalid_api_key",)))
async def models(request: Request) -> ModelList:
    """List the served models."""
    service: Service = request.app.state.service
    return ModelList(data=[_card(model) for model in service.all_facts])


@router.get(
    f"{MODELS}/{{name:path}}",
    summary="One served model",
    responses=documented(MODELS, ("invalid_api_key", "model_not_found")),
)
async def model(request: Request, name: str) -> Model:
    """Describe the served model of this name."""
    service: Service = request.app.state.service
    return _card(service.find(name))


def _card(model: Facts) -> Model:
    return Model(id=model.name, created=model.since, dtype=model.dtype)


def _rows(matrix: npt.NDArray[np.float32], as_base64: bool) -> Iterator[dict[str, Any]]:
    for index, row in enumerate(matrix):
        value = base64.b64encode(row.astype("<f4").tobytes()).decode("ascii") if as_base64 else row
        yield {"object": "embedding", "index": index, "embedding": value}
