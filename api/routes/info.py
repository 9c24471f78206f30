"""What the model is, for clients of every dialect."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from api.guard import GuardedRoute
from api.refusals import documented
from api.schemas.info import RELEVANCE_SCORES, InfoResponse, ScoreInfo
from api.service import Service
from simlstm import __version__

INFO = "/info"

router = APIRouter(route_class=GuardedRoute, tags=["native"])


@router.get(
    INFO, summary="The model and the limits", responses=documented(INFO, ("invalid_api_key", "model_not_found"))
)
async def info(
    request: Request,
    model: Annotated[str | None, Query(description="name of a served model; the default one without it")] = None,
) -> InfoResponse:
    """Describe a served model, how to read its scores, and what a request may hold."""
    service: Service = request.app.state.service
    facts, settings = service.find(model), service.settings
    limits = service.limits(facts)
    return InfoResponse(
        model_id=facts.name,
        model_sha=facts.fingerprint,
        model_dtype=facts.dtype,
        served_model_name=facts.name,
        model_type={"embedding": {"pooling": facts.config.pooling}},
        max_concurrent_requests=limits.max_waiting_sentences,
        max_input_length=facts.config.max_tokens,
        max_batch_tokens=limits.max_batch_tokens,
        max_client_batch_size=limits.max_request_sentences,
        auto_truncate=True,
        tokenization_workers=1,
        version=__version__,
        embedding_size=facts.embedding_size,
        max_body_bytes=settings.max_body_bytes,
        max_sentence_characters=settings.max_sentence_characters,
        default_deadline_ms=settings.default_deadline_ms,
        max_deadline_ms=settings.max_deadline_ms,
        device=facts.device,
        backend=facts.backend,
        score=ScoreInfo(
            head=facts.config.head,
            range=facts.score_bounds,
            trained_on=facts.config.kind,
            published_range=facts.config.score_range,
            threshold=facts.threshold,
            calibrated=facts.calibration is not None,
            relevance_score=RELEVANCE_SCORES[settings.rerank_by],
        ),
        metrics=dict(facts.metrics),
    )
