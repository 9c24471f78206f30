"""What the model is, for clients of every dialect."""

from fastapi import APIRouter, Request

from api.guard import GuardedRoute
from api.refusals import documented
from api.schemas.info import RELEVANCE_SCORES, InfoResponse, ScoreInfo
from api.service import Service
from simlstm import __version__

INFO = "/info"

router = APIRouter(route_class=GuardedRoute, tags=["native"])


@router.get(INFO, summary="The model and the limits", responses=documented(INFO, ("invalid_api_key",)))
async def info(request: Request) -> InfoResponse:
    """Describe the served model, how to read its scores, and what a request may hold."""
    service: Service = request.app.state.service
    model, settings = service.find(), service.settings
    limits = service.limits(model)
    return InfoResponse(
        model_id=model.name,
        model_sha=model.fingerprint,
        model_dtype=model.dtype,
        served_model_name=model.name,
        model_type={"embedding": {"pooling": model.config.pooling}},
        max_concurrent_requests=limits.max_waiting_sentences,
        max_input_length=model.config.max_tokens,
        max_batch_tokens=limits.max_batch_tokens,
        max_client_batch_size=limits.max_request_sentences,
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
            relevance_score=RELEVANCE_SCORES[settings.rerank_by],
        ),
        metrics=dict(model.metrics),
    )
