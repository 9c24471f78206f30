"""The native dialect: the route with the richest answer, and what the model is."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from api.errors import ApiError
from api.guard import GuardedRoute
from api.limits import check_deadline, check_sentences
from api.schemas.native import ErrorResponse, InfoResponse, ScoreInfo, SimilarityRequest, SimilarityResponse
from api.service import Service
from api.work import Layout, Outcome, Work
from simlstm import __version__

SIMILARITY = "/v1/similarity"
_REFUSALS = {
    400: "The body is not JSON.",
    401: "The API key is missing or wrong.",
    413: "The body is too large.",
    415: "The content type is not application/json.",
    422: "The request is not of this shape, or beyond a limit.",
    429: "The queue is full; Retry-After says when to come back.",
    500: "The model failed on this request.",
    501: "Asked for something that this version does not have.",
    503: "The model's worker is not running.",
    504: "The deadline passed.",
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse, "description": description} for status, description in _REFUSALS.items()
}

router = APIRouter(route_class=GuardedRoute, tags=["native"])


@router.post(SIMILARITY, summary="Score sentence pairs", response_model=SimilarityResponse, responses=_ERRORS)
async def similarity(request: Request, body: SimilarityRequest) -> Response:
    """Compare one sentence with one, one with many, or as many with as many, pair by pair.

    Sentences beyond the model's token limit are cut, and `truncated` and the header `x-truncated-inputs` say so.
    An empty sentence is compared as one unknown token, with `unknown_ratio` 1.
    """
    service: Service = request.app.state.service
    if body.explain:
        raise ApiError(501, "not_available", "explain is not available in this version; leave it out", field="explain")
    check_sentences(service.settings, sentence1=body.sentence1, sentence2=body.sentence2)
    check_deadline(service.settings, body.deadline_ms)
    model = service.find()
    first, second = _as_list(body.sentence1), _as_list(body.sentence2)
    work = Work([*first, *second], _layout(body), len(first))
    request.state.method = "single" if work.pairs == 1 else "batch"
    outcome = await service.compute(request, model, work, deadline_ms=body.deadline_ms)
    tokens = sum(outcome.token_counts)
    content = {
        "model": model.name,
        "results": _results(outcome, work, model.threshold),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return JSONResponse(content, headers={"x-truncated-inputs": str(sum(outcome.truncated))})


@router.get("/info", summary="The model and the limits", response_model=InfoResponse, responses={401: _ERRORS[401]})
async def info(request: Request) -> InfoResponse:
    """Describe the served model, how to read its scores, and what a request may hold."""
    service: Service = request.app.state.service
    model, settings = service.find(), service.settings
    return InfoResponse(
        model_id=model.name,
        model_sha=model.fingerprint,
        model_dtype=model.dtype,
        model_type={"embedding": {"pooling": model.config.pooling}},
        max_concurrent_requests=settings.max_waiting_sentences,
        max_input_length=model.config.max_tokens,
        max_batch_tokens=settings.max_batch_tokens,
        max_client_batch_size=settings.max_request_sentences,
        auto_truncate=True,
        tokenization_workers=1,
        version=__version__,
        embedding_size=model.embedding_size,
        max_body_bytes=settings.max_body_bytes,
        max_sentence_characters=settings.max_sentence_characters,
        default_deadline_ms=settings.default_deadline_ms,
        max_deadline_ms=settings.max_deadline_ms,
        device=model.device,
        backend=model.backend,
        score=ScoreInfo(
            head=model.config.head,
            range=model.score_bounds,
            trained_on=model.config.kind,
            published_range=model.config.score_range,
            threshold=model.threshold,
            calibrated=model.calibration is not None,
        ),
        metrics=dict(model.metrics),
    )


def _as_list(sentences: str | list[str]) -> list[str]:
    return [sentences] if isinstance(sentences, str) else sentences


def _layout(body: SimilarityRequest) -> Layout:
    match body.sentence1, body.sentence2:
        case str(), _:
            return Layout.one_to_many
        case _, str():
            return Layout.many_to_one
        case _:
            return Layout.pairwise


def _results(outcome: Outcome, work: Work, threshold: float | None) -> list[dict[str, object]]:
    truncated, unknown = outcome.truncated, outcome.unknown_ratios
    scores = outcome.scores.tolist()
    probabilities = [None] * len(scores) if outcome.probabilities is None else outcome.probabilities.tolist()
    first_moves, second_moves = work.layout is not Layout.one_to_many, work.layout is not Layout.many_to_one
    results = []
    for index, (score, probability) in enumerate(zip(scores, probabilities, strict=True)):
        first, second = index * first_moves, work.first + index * second_moves
        results.append(
            {
                "index": index,
                "score": score,
                "probability": probability,
                "is_match": None if threshold is None else score >= threshold,
                "truncated": [truncated[first], truncated[second]],
                "unknown_ratio": [unknown[first], unknown[second]],
            }
        )
    return results
