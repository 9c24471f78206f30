"""The native dialect: the routes with the richest answers."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from api.bodies import answer, array_of
from api.explanations import MOST_ALIGNED
from api.guard import GuardedRoute
from api.limits import check_deadline, check_explained, check_matrix, check_sentences
from api.refusals import COMPUTES_BY_NAME, TRUNCATION, documented
from api.schemas.native import MatrixRequest, MatrixResponse, SimilarityRequest, SimilarityResponse
from api.service import Service
from api.work import Layout, Outcome, Work

SIMILARITY = "/v1/similarity"
MATRIX = "/v1/similarity/matrix"
# Writing one takes about as long as writing so many numbers.
_NUMBERS_OF_A_RESULT = 32
_NUMBERS_OF_AN_EXPLANATION = 2 * MOST_ALIGNED

router = APIRouter(route_class=GuardedRoute, tags=["native"])


@router.post(
    SIMILARITY,
    summary="Score sentence pairs",
    response_model=SimilarityResponse,
    responses=TRUNCATION | documented(SIMILARITY, COMPUTES_BY_NAME),
)
async def similarity(request: Request, body: SimilarityRequest) -> Response:
    """Compare one sentence with one, one with many, or as many with as many, pair by pair.

    Sentences beyond the model's token limit are cut, and `truncated` and the header `x-truncated-inputs` say so.
    An empty sentence is compared as one unknown token, with `unknown_ratio` 1.
    """
    service: Service = request.app.state.service
    model = service.find(body.model)
    check_sentences(service, model, sentence1=body.sentence1, sentence2=body.sentence2)
    check_deadline(service.settings, body.deadline_ms)
    first, second = _as_list(body.sentence1), _as_list(body.sentence2)
    work = Work([*first, *second], _layout(body), len(first), explain=body.explain)
    if work.explain:
        check_explained(service.settings, work.pairs)
    request.state.method = "single" if work.pairs == 1 else "batch"
    outcome = await service.compute(request, model, work, deadline_ms=body.deadline_ms)
    results = _results(outcome, work, model.threshold)
    numbers = work.pairs * (_NUMBERS_OF_AN_EXPLANATION if work.explain else _NUMBERS_OF_A_RESULT)
    content = {
        "model": model.name,
        "results": await array_of(results, numbers),
        "usage": _usage(outcome),
    }
    return answer(content, _headers(outcome))


@router.post(
    MATRIX,
    summary="Score every sentence against every other",
    response_model=MatrixResponse,
    responses=TRUNCATION | documented(MATRIX, COMPUTES_BY_NAME),
)
async def matrix(request: Request, body: MatrixRequest) -> Response:
    """Compare each sentence of one list with each of another: a row for each of the first."""
    service: Service = request.app.state.service
    first, second = body.sentences1, body.sentences2
    model = service.find(body.model)
    check_sentences(service, model, sentences1=first, sentences2=second)
    check_matrix(service.settings, len(first), len(second))
    check_deadline(service.settings, body.deadline_ms)
    request.state.method = "single" if len(first) == len(second) == 1 else "batch"
    work = Work([*first, *second], Layout.matrix, len(first))
    outcome = await service.compute(request, model, work, deadline_ms=body.deadline_ms)
    shape, at = (len(first), len(second)), len(first)
    # As float64, so that a score reads the same here and in the other native route.
    scores = outcome.scores.astype(np.float64).reshape(shape)
    probabilities = None
    if outcome.probabilities is not None:
        probabilities = await array_of(outcome.probabilities.astype(np.float64).reshape(shape), scores.size)
    content = {
        "model": model.name,
        "scores": await array_of(scores, scores.size),
        "probabilities": probabilities,
        "truncated": {"sentences1": outcome.truncated[:at], "sentences2": outcome.truncated[at:]},
        "unknown_ratio": {"sentences1": outcome.unknown_ratios[:at], "sentences2": outcome.unknown_ratios[at:]},
        "usage": _usage(outcome),
    }
    return answer(content, _headers(outcome))


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


def _headers(outcome: Outcome) -> dict[str, str]:
    return {"x-truncated-inputs": str(sum(outcome.truncated))}


def _usage(outcome: Outcome) -> dict[str, int]:
    tokens = sum(outcome.token_counts)
    return {"prompt_tokens": tokens, "total_tokens": tokens}


def _results(outcome: Outcome, work: Work, threshold: float | None) -> Iterator[dict[str, Any]]:
    truncated, unknown = outcome.truncated, outcome.unknown_ratios
    scores = outcome.scores.tolist()
    probabilities = [None] * len(scores) if outcome.probabilities is None else outcome.probabilities.tolist()
    first_moves, second_moves = work.layout is not Layout.one_to_many, work.layout is not Layout.many_to_one
    for index, (score, probability) in enumerate(zip(scores, probabilities, strict=True)):
        first, second = index * first_moves, work.first + index * second_moves
        result = {
            "index": index,
            "score": score,
            "probability": probability,
            "is_match": None if threshold is None else score >= threshold,
            "truncated": [truncated[first], truncated[second]],
            "unknown_ratio": [unknown[first], unknown[second]],
        }
        if outcome.explanations is not None:
            result["explanation"] = outcome.explanations[index]
        yield result
