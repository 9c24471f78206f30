"""The operator's routes: probes, metrics, and a word of welcome. Open without a key."""

from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from api.metrics import CONTENT_TYPE
from api.schemas.native import HealthResponse
from api.service import Service
from simlstm import __version__

_UNWELL: dict[int | str, dict[str, Any]] = {
    503: {"model": HealthResponse, "description": "Not well; `reason` says why."}
}

router = APIRouter(tags=["operations"])


def _answer(service: Service, reason: str | None) -> Response:
    status: Literal["ok", "unavailable"] = "ok" if reason is None else "unavailable"
    content = HealthResponse(status=status, reason=reason, model=service.known_name)
    return JSONResponse(content.model_dump(), 200 if reason is None else 503)


@router.get("/livez", summary="Alive?", response_model=HealthResponse, responses=_UNWELL)
async def livez(request: Request) -> Response:
    """Say whether the model's worker lives; when not, restart this server."""
    service: Service = request.app.state.service
    return _answer(service, service.dead_because)


@router.get("/health", summary="Healthy?", response_model=HealthResponse, responses=_UNWELL)
async def health(request: Request) -> Response:
    """Say whether requests can be computed, as Text Embeddings Inference's route of this name does."""
    return await livez(request)


@router.get("/readyz", summary="Ready for traffic?", response_model=HealthResponse, responses=_UNWELL)
async def readyz(request: Request) -> Response:
    """Say whether to send traffic here: not while the queue is full, the worker is dead, or the server shuts down."""
    service: Service = request.app.state.service
    return _answer(service, service.not_ready_because)


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Return all metrics in Prometheus' text format."""
    service: Service = request.app.state.service
    return Response(service.metrics.render(), headers={"content-type": CONTENT_TYPE})


@router.get("/", summary="Welcome")
async def welcome(request: Request) -> dict[str, str]:
    """Say what this is and where the documentation is."""
    service: Service = request.app.state.service
    return {"service": "simlstm", "version": __version__, "model": service.find().name, "documentation": "/docs"}
