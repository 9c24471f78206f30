"""Reranking, as the clients of Cohere, Jina and vLLM ask for it; failures have Cohere's shape."""

from typing import Any

from fastapi import APIRouter, Request, Response

from api.bodies import answer, array_of
from api.guard import GuardedRoute
from api.limits import check_sentences
from api.ranking import descending, measure_of, relevance
from api.refusals import COMPUTES_BY_NAME, TRUNCATION, documented
from api.schemas.cohere import RerankRequest, RerankResponse, RerankV2Request, RerankV2Response
from api.service import Service
from api.work import Layout, Outcome, Work

RERANK = "/v1/rerank"
RERANK_V2 = "/v2/rerank"
_NUMBERS_OF_A_RESULT = 32  # writing one takes about as long as writing so many numbers
_DOCUMENTED = TRUNCATION | documented(RERANK, COMPUTES_BY_NAME)

router = APIRouter(route_class=GuardedRoute, tags=["rerank"])


@router.post(RERANK, summary="Order documents", response_model=RerankResponse, responses=_DOCUMENTED)
async def rerank(request: Request, body: RerankRequest) -> Response:
    """Order documents by their likeness to a query: one answer for the clients of Cohere's v1, Jina and vLLM."""
    name, results, outcome = await _ranked(request, body, with_documents=body.return_documents is not False)
    tokens = sum(outcome.token_counts)
    content = {
        "id": request.state.request_id,
        "model": name,
        "results": await array_of(results, len(results) * _NUMBERS_OF_A_RESULT),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "meta": _meta("1", tokens),
    }
    return answer(content, _headers(outcome))


@router.post(RERANK_V2, summary="Order documents (v2)", response_model=RerankV2Response, responses=_DOCUMENTED)
async def rerank_v2(request: Request, body: RerankV2Request) -> Response:
    """Order documents by their likeness to a query, as Cohere's v2 does: the answer does not repeat them."""
    _, results, outcome = await _ranked(request, body, with_documents=False)
    content = {
        "id": request.state.request_id,
        "results": await array_of(results, len(results) * _NUMBERS_OF_A_RESULT),
        "meta": _meta("2", sum(outcome.token_counts)),
    }
    return answer(content, _headers(outcome))


async def _ranked(
    request: Request, body: RerankRequest | RerankV2Request, *, with_documents: bool
) -> tuple[str, list[dict[str, Any]], Outcome]:
    """Return the model's name, the best documents, and what the model says."""
    service: Service = request.app.state.service
    model = service.find(body.model)
    documents = body.documents
    check_sentences(service, model, query=body.query, documents=documents)
    request.state.method = "single" if len(documents) == 1 else "batch"
    measure = measure_of(service.settings)
    work = Work([body.query, *documents], Layout.one_to_many, 1, measure=measure)
    outcome = await service.compute(request, model, work)
    scores = relevance(model, measure, outcome.scores).tolist()
    results: list[dict[str, Any]] = [
        {"index": index, "relevance_score": scores[index]}
        for index in descending(outcome.scores)[: body.top_n or len(documents)]
    ]
    if with_documents:
        for result in results:
            result["document"] = {"text": documents[result["index"]]}
    return model.name, results, outcome


def _meta(version: str, tokens: int) -> dict[str, Any]:
    return {"api_version": {"version": version}, "tokens": {"input_tokens": tokens, "output_tokens": 0}}


def _headers(outcome: Outcome) -> dict[str, str]:
    return {"x-truncated-inputs": str(sum(outcome.truncated))}
