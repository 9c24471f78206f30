"""Text Embeddings Inference's dialect, which Hugging Face's clients speak."""

import time
from collections.abc import Sequence
from typing import Literal

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray

from api.bodies import answer, array_of
from api.errors import ApiError
from api.facts import Facts
from api.guard import GuardedRoute
from api.limits import check_sentences, check_tokenized
from api.ranking import descending, measure_of, relevance
from api.refusals import COMPUTES, READS_A_BODY, TIMES, documented
from api.schemas.tei import (
    EmbedRequest,
    EmbedResponse,
    RootRequest,
    RootResponse,
    Sentences,
    SimilarityParameters,
    TeiRerankRequest,
    TeiRerankResponse,
    TeiSimilarityRequest,
    TeiSimilarityResponse,
    TokenizeRequest,
    TokenizeResponse,
)
from api.service import Service
from api.tokenizing import Tokenizing
from api.work import Layout, Outcome, Work

ROOT = "/"
EMBED = "/embed"
SIMILARITY = "/similarity"
RERANK = "/rerank"
TOKENIZE = "/tokenize"
_COMPUTED = TIMES | documented(EMBED, COMPUTES)
_NUMBERS_OF_A_RESULT = 16  # writing one takes about as long as writing so many numbers

router = APIRouter(route_class=GuardedRoute, tags=["Text Embeddings Inference"])


@router.post(EMBED, summary="Embed texts", response_model=EmbedResponse, responses=_COMPUTED)
async def embed(request: Request, body: EmbedRequest) -> Response:
    """Embed one text or many; embeddings are scaled to length 1 unless `normalize` is false."""
    service: Service = request.app.state.service
    model = service.find()
    _refuse_prompt(body.prompt_name)
    if body.dimensions not in (None, model.embedding_size):
        message = f"dimensions is {body.dimensions}; this model's embeddings have {model.embedding_size}"
        raise ApiError(422, "unsupported_dimensions", message, field="dimensions")
    check_sentences(service, model, inputs=body.inputs)
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    call = _Call(request, model, ["inputs"] if isinstance(body.inputs, str) else _places("inputs", texts))
    outcome = await call.compute(Work(texts, embeddings=True, keep=_keep(body.truncation_direction)), body.truncate)
    rows = outcome.embeddings if body.normalize is False else _unit_rows(outcome.embeddings)
    return answer(await array_of(rows, rows.size), call.headers(texts, outcome))


@router.post(SIMILARITY, summary="Score sentences", response_model=TeiSimilarityResponse, responses=_COMPUTED)
async def similarity(request: Request, body: TeiSimilarityRequest) -> Response:
    """Compare one sentence with several: the scores of the model's pair head, which `/info` tells how to read."""
    return await _similarity(request, body.inputs, body.parameters or SimilarityParameters())


@router.post(ROOT, summary="Embed texts, or score sentences", response_model=RootResponse, responses=_COMPUTED)
async def root(request: Request, body: RootRequest) -> Response:
    """Do what `/embed` does to texts, and what `/similarity` does to an object of sentences."""
    if isinstance(body.inputs, Sentences):
        return await _similarity(request, body.inputs, body.parameters or SimilarityParameters())
    return await embed(request, body)


@router.post(RERANK, summary="Order texts", response_model=TeiRerankResponse, responses=_COMPUTED)
async def rerank(request: Request, body: TeiRerankRequest) -> Response:
    """Order texts by their likeness to a query; `/info` tells what the scores are."""
    service: Service = request.app.state.service
    model = service.find()
    check_sentences(service, model, query=body.query, texts=body.texts)
    texts = [body.query, *body.texts]
    call = _Call(request, model, ["query", *_places("texts", body.texts)])
    measure = measure_of(service.settings)
    work = Work(texts, Layout.one_to_many, 1, measure=measure, keep=_keep(body.truncation_direction))
    outcome = await call.compute(work, body.truncate)
    scores = (outcome.scores if body.raw_scores else relevance(model, measure, outcome.scores)).tolist()
    ranks = (
        {"index": index, "score": scores[index]} | ({"text": body.texts[index]} if body.return_text else {})
        for index in descending(outcome.scores)
    )
    return answer(await array_of(ranks, len(scores) * _NUMBERS_OF_A_RESULT), call.headers(texts, outcome))


@router.post(
    TOKENIZE,
    summary="Cut texts into tokens",
    response_model=TokenizeResponse,
    responses=documented(TOKENIZE, (*READS_A_BODY, "overloaded", "deadline_exceeded")),
)
async def tokenize(request: Request, body: TokenizeRequest) -> Response:
    """Cut texts into the model's tokens; places count characters. The model adds no special tokens."""
    service: Service = request.app.state.service
    model = service.find()
    _refuse_prompt(body.prompt_name)
    check_sentences(service, model, inputs=body.inputs)
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    check_tokenized(texts)
    tokenizing: Tokenizing = request.app.state.tokenizing
    tokenizations = await tokenizing.tokenize(model, texts)
    tokens = (
        [
            {"id": number, "text": text[start:stop], "special": False, "start": start, "stop": stop}
            for number, (start, stop) in zip(tokenization.ids, tokenization.offsets, strict=True)
        ]
        for text, tokenization in zip(texts, tokenizations, strict=True)
    )
    size = sum(len(tokenization.ids) for tokenization in tokenizations)
    return answer(await array_of(tokens, size * _NUMBERS_OF_A_RESULT))


class _Call:
    """One request that is computed: refusing what would have to be cut, and telling times.

    Args:
        request: whose start is now.
        model: computes it.
        places: where in the request each text stands.
    """

    def __init__(self, request: Request, model: Facts, places: Sequence[str]) -> None:
        self._started = time.perf_counter()
        self._request = request
        self._model = model
        self._places = places

    async def compute(self, work: Work, truncate: bool | None) -> Outcome:
        """Compute, and refuse with 422 when ``truncate`` is false and a text is beyond the token limit."""
        self._request.state.method = "single" if len(work.texts) == work.first + 1 else "batch"
        service: Service = self._request.app.state.service
        outcome = await service.compute(self._request, self._model, work)
        if truncate is False and any(outcome.truncated):
            at = outcome.truncated.index(True)
            most = self._model.config.max_tokens
            message = f"{self._places[at]} has more than the {most} tokens allowed, and truncate is false"
            raise ApiError(422, "too_many_tokens", message, field=self._places[at])
        return outcome

    def headers(self, texts: Sequence[str], outcome: Outcome) -> dict[str, str]:
        """Return the headers of a success; times in whole milliseconds, as Text Embeddings Inference has them."""
        total = str(int((time.perf_counter() - self._started) * 1000))
        return {
            "x-compute-type": "gpu" if self._model.device.startswith("cuda") else "cpu",
            "x-compute-time": total,
            "x-compute-characters": str(sum(map(len, texts))),
            "x-compute-tokens": str(sum(outcome.token_counts)),
            "x-total-time": total,
            "x-tokenization-time": str(int(outcome.tokenization_seconds * 1000)),
            "x-queue-time": str(int(outcome.queue_seconds * 1000)),
            "x-inference-time": str(int(outcome.inference_seconds * 1000)),
            "x-truncated-inputs": str(sum(outcome.truncated)),
        }


async def _similarity(request: Request, inputs: Sentences, parameters: SimilarityParameters) -> Response:
    service: Service = request.app.state.service
    _refuse_prompt(parameters.prompt_name)
    fields: dict[str, str | list[str]] = {
        "inputs.source_sentence": inputs.source_sentence,
        "inputs.sentences": inputs.sentences,
    }
    model = service.find()
    check_sentences(service, model, **fields)
    texts = [inputs.source_sentence, *inputs.sentences]
    places = ["inputs.source_sentence", *_places("inputs.sentences", inputs.sentences)]
    call = _Call(request, model, places)
    work = Work(texts, Layout.one_to_many, 1, keep=_keep(parameters.truncation_direction))
    outcome = await call.compute(work, parameters.truncate)
    return answer(outcome.scores.tolist(), call.headers(texts, outcome))


def _refuse_prompt(name: str | None) -> None:
    if name is not None:
        raise ApiError(422, "unknown_prompt", "prompt_name came; this model has no prompts", field="prompt_name")


def _places(field: str, texts: Sequence[str]) -> list[str]:
    return [f"{field}.{position}" for position in range(len(texts))]


def _keep(direction: str | None) -> Literal["start", "end"]:
    return "end" if direction is not None and direction.lower() == "left" else "start"


def _unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float32] = rows / np.maximum(lengths, np.finfo(np.float32).tiny)  # so that zero stays zero
    return unit
