"""The application: routes, middleware, and the model's life around them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException

from api.errors import on_http_error
from api.metrics import Metrics
from api.middleware import Envelope
from api.openapi import document
from api.routes import info, native, openai, operations, rerank, score, tei
from api.service import Service
from api.settings import Settings
from api.tokenizing import Tokenizing
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


def create_app(settings: Settings | None = None, model: SimilarityModel | None = None) -> FastAPI:
    """Build the application; the model is loaded, warmed up and served while the application's lifespan runs.

    Args:
        settings: None reads the environment.
        model: served as it is; None loads ``settings.model`` when the application starts.

    Raises:
        pydantic.ValidationError: when a setting is out of range, or settings contradict each other.
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
    )
    app.state.service = service
    app.state.tokenizing = Tokenizing(settings)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_middleware(
        Envelope, metrics=metrics, inference_routes=INFERENCE_ROUTES, max_body_bytes=settings.max_body_bytes
    )
    if settings.accepted_origins:
        # Outermost: a browser must be able to read failures too, and its preflight request carries no key.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.accepted_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "x-request-id"],
            expose_headers=["x-request-id", "x-truncated-inputs", "retry-after"],
        )
    # Not include_router: it would put a second router, with a context of its own, before each request. Routes are tried
    # one after the other, so ours come before those of the documentation.
    app.router.routes[:0] = [route for router in ROUTERS for route in router.routes]
    app.openapi = partial(document, app)  # type: ignore[method-assign]
    return app
