"""The application: routes, middleware, and the model's life around them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException
from starlette.types import Scope

from api.errors import ApiError, on_http_error
from api.metrics import Metrics
from api.middleware import Envelope
from api.openapi import document
from api.routes import info, native, openai, operations, rerank, score, tei
from api.service import Service
from api.settings import Settings
from api.shedding import shedding_protocol
from api.tokenizing import Tokenizing
from api.tracing import tracing_from_environment
from simlstm import SimilarityModel, __version__

ROUTERS = (native.router, openai.router, tei.router, rerank.router, score.router, info.router, operations.router)
INFERENCE_ROUTES = (
    native.SIMILARITY,
    native.MATRIX,
    openai.EMBEDDINGS,
    tei.ROOT,
    tei.EMBED,
    tei.SIMILARITY,
    tei.RERANK,
    rerank.RERANK,
    rerank.RERANK_V2,
    score.SCORE,
    score.SCORE_WITHOUT_VERSION,
)

EXPOSED_HEADERS = (
    "x-request-id", "x-truncated-inputs", "retry-after", "x-compute-type", "x-compute-time", "x-total-time",
    "x-tokenization-time", "x-queue-time", "x-inference-time",
)  # fmt: skip


def create_app(settings: Settings | None = None, model: SimilarityModel | None = None) -> FastAPI:
    """Build the application; the model is loaded, warmed up and served while the application's lifespan runs.

    ``app.state.http_protocol`` is the protocol class that scripts/serve.py gives to uvicorn: it refuses what the server
    cannot keep up with before parsing it. Any other ASGI server serves the application without it.

    Args:
        settings: None reads the environment.
        model: served instead of what the settings name, as a copy made when the application starts.

    Raises:
        pydantic.ValidationError: when a setting is out of range, or settings contradict each other.
        SettingsFileError: when the settings file cannot be read or holds an unknown key.
        TracingError: when the environment asks for traces that cannot be made.
    """
    settings = settings or Settings()
    metrics = Metrics(INFERENCE_ROUTES)
    service = Service(settings, metrics, model)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="simlstm",
        summary="Semantic similarity of sentences, by a Siamese BiLSTM",
        version=__version__,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
        # FastAPI's own would record URLs with their queries, and exceptions with what they quote: see api/tracing.py.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.service = service
    app.state.http_protocol = shedding_protocol(frozenset(INFERENCE_ROUTES), service.refuses_unparsed)
    app.state.tokenizing = Tokenizing(settings)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_middleware(
        Envelope,
        metrics=metrics,
        inference_routes=INFERENCE_ROUTES,
        max_body_bytes=settings.max_body_bytes,
        refuse_early=partial(_refuse_early, service),
        tracing=tracing_from_environment(),
    )
    if settings.accepted_origins:
        # Outermost: a browser must be able to read failures too, and its preflight request carries no key.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.accepted_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],  # the headers that a preflight asks for: clients send their own beside Authorization
            expose_headers=EXPOSED_HEADERS,
        )
    # Not include_router: it would put a second router, with a context of its own, before each request. Routes are tried
    # one after the other, so ours come before those of the documentation.
    app.router.routes[:0] = [route for router in ROUTERS for route in router.routes]
    app.openapi = partial(document, app)  # type: ignore[method-assign]
    return app


def _refuse_early(service: Service, scope: Scope) -> ApiError | None:
    """Under overload, most requests are refused: unread, they cost least, and more of the others are answered."""
    is_inference = scope["method"] == "POST" and scope["path"] in INFERENCE_ROUTES
    return service.early_refusal() if is_inference else None
