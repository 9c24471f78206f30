"""What the routes talk to: the model's life, its limits, and one request's wait for the worker."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from fastapi import Request

from api.batcher import Batcher, ComputationError, QueueFullError, WorkerUnavailableError
from api.errors import ApiError
from api.facts import Facts
from api.jobs import Job
from api.jobs import Outcome as JobOutcome
from api.metrics import Metrics
from api.settings import Settings
from api.shutdown import announced_shutdown
from api.work import Layout, Outcome, Work
from simlstm.models.similarity import SimilarityModel

logger = logging.getLogger(__name__)


class StartError(Exception):
    """The server cannot start; the message is one sentence for whoever started it."""


class Service:
    """The served model, from loading to draining.

    Args:
        settings: the server's settings.
        metrics: counters of the application.
        model: served as it is; None loads ``settings.model``.
    """

    def __init__(self, settings: Settings, metrics: Metrics, model: SimilarityModel | None = None) -> None:
        self.settings = settings
        self.metrics = metrics
        self.draining = False
        self.started = int(time.time())
        self._model = model
        self._batcher: Batcher | None = None
        metrics.ready.set_function(lambda: float(self.not_ready_because is None))

    @property
    def model(self) -> SimilarityModel:
        """The served model. Its tensors belong to the worker; its configuration may be read by anybody."""
        if self._model is None:
            raise RuntimeError("the service has no model: it serves only while its lifespan runs")
        return self._model

    @property
    def name(self) -> str:
        """The name under which clients know the model."""
        return self.settings.name or self.model.name

    @property
    def known_name(self) -> str | None:
        """The same, or None while the model that would have a name is not there."""
        return self.settings.name or (None if self._model is None else self._model.name)

    @property
    def alive(self) -> bool:
        """Whether requests can be computed at all."""
        return self._batcher is not None and self._batcher.alive

    @property
    def not_ready_because(self) -> str | None:
        """Why no new traffic should be sent here, or None when it should."""
        if self._batcher is None:
            return "the model is being loaded"
        if not self._batcher.alive:
            return "the model's worker is dead or stuck"
        if self.draining:
            return "the server is shutting down"
        if self._batcher.overloaded:
            return "the queue is full"
        return None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load, warm up and serve the model; on leaving, stop the worker.

        Raises:
            StartError: when there is no usable checkpoint.
        """
        if self._model is None:
            self._model = await asyncio.to_thread(self._load)
        await asyncio.to_thread(getattr, self._model, "fingerprint")  # hashes all weights: now, not on the event loop
        batcher = Batcher(
            self._model,
            self.metrics,
            max_waiting_sentences=self.settings.max_waiting_sentences,
            max_batch_tokens=self.settings.max_batch_tokens,
            stall_seconds=self.settings.stall_seconds,
            threads=self.settings.threads,
        )
        try:
            await asyncio.wrap_future(batcher.start())
        except Exception as error:
            raise StartError(f"the model does not compute: {type(error).__name__}: {error}") from error
        self._batcher = batcher
        logger.info(
            "serving %s: %s, %s backend, %s", self.name, self.model.dtype, self.model.backend, self.model.device
        )
        try:
            with announced_shutdown(self._drain, delay=self.settings.shutdown_delay_seconds):
                yield
        finally:
            self._drain()
            await asyncio.to_thread(batcher.stop, timeout=5.0)

    def find(self, name: str | None = None) -> Facts:
        """Return the facts of the model that clients call this; None is the server's first model.

        Raises:
            ApiError: 404 for a name that is not served.
        """
        model = self.model
        if name is not None and name != self.name:
            message = f"no model {name!r} is served here; served: {self.name!r}"
            raise ApiError(404, "model_not_found", message, field="model")
        return Facts(
            name=self.name,
            fingerprint=model.fingerprint,
            config=model.config,
            tokenizer=model.tokenizer,
            calibration=model.calibration,
            metrics=model.metrics,
            dtype=model.dtype,
            backend=model.backend,
            device=str(model.device),
            embedding_size=model.embedding_size,
            since=self.started,
        )

    @property
    def all_facts(self) -> list[Facts]:
        """The facts of every served model, the first one first."""
        return [self.find()]

    async def compute(self, request: Request, model: Facts, work: Work, *, deadline_ms: int | None = None) -> Outcome:
        """Let the worker of a model do a request's work, and wait for it.

        Raises:
            ApiError: 404 when the model is no longer served, 429 when the queue is full, 503 when there is no worker,
                504 when the deadline passes, 500 when the model fails on this request, 499 when the client has left.
        """
        job = Job(list(work.texts), _pairs(work))
        try:
            if self._batcher is None:
                raise WorkerUnavailableError("the model is not being served")
            self._batcher.submit(job)
            outcome = await _wait(self._batcher, job, request, deadline_ms or self.settings.default_deadline_ms)
        except QueueFullError as error:
            headers = {"Retry-After": str(error.retry_after)}
            raise ApiError(429, "overloaded", str(error), headers=headers) from error
        except WorkerUnavailableError as error:
            raise ApiError(503, "unavailable", str(error), headers={"Retry-After": "5"}) from error
        except ComputationError as error:
            raise ApiError(500, "model_failed", str(error)) from error
        self.metrics.queue_duration.observe(outcome.queue_seconds)
        self.metrics.tokenization_duration.observe(outcome.tokenization_seconds)
        self.metrics.inference_duration.observe(outcome.inference_seconds)
        self.metrics.truncated.inc(sum(outcome.truncated))
        for count in outcome.token_counts:
            self.metrics.input_length.observe(count)
        request.state.sentences = len(job.texts)
        request.state.tokens = sum(outcome.token_counts)
        return _as_asked(work, outcome)

    def _load(self) -> SimilarityModel:
        folder = self.settings.model
        if folder is None:
            raise StartError("no checkpoint to serve: name a shipped one, or its folder, by --model or SIMLSTM_MODEL")
        try:
            return SimilarityModel.from_pretrained(folder, device=self.settings.device, dtype=self.settings.dtype)
        except (ValueError, ImportError, OSError, RuntimeError) as error:  # CheckpointError is a ValueError
            raise StartError(f"cannot serve {folder}: {error}") from error

    def _drain(self) -> None:
        self.draining = True


def _pairs(work: Work) -> list[tuple[int, int]]:
    first, total = work.first, len(work.texts)
    match work.layout:
        case Layout.none:
            return []
        case Layout.one_to_many:
            return [(0, second) for second in range(1, total)]
        case Layout.many_to_one:
            return [(index, first) for index in range(first)]
        case Layout.pairwise:
            return [(index, first + index) for index in range(first)]
        case Layout.matrix:
            return [(index, second) for index in range(first) for second in range(first, total)]


def _as_asked(work: Work, outcome: JobOutcome) -> Outcome:
    scores, probabilities = np.array(outcome.scores, dtype=np.float32), outcome.probabilities
    return Outcome(
        embeddings=outcome.embeddings if work.embeddings else outcome.embeddings[:0],
        scores=scores,
        probabilities=None if probabilities is None else np.array(probabilities, dtype=np.float32),
        explanations=None,
        token_counts=outcome.token_counts,
        truncated=outcome.truncated,
        unknown_ratios=outcome.unknown_ratios,
        queue_seconds=outcome.queue_seconds,
        tokenization_seconds=outcome.tokenization_seconds,
        inference_seconds=outcome.inference_seconds,
    )


async def _wait(batcher: Batcher, job: Job, request: Request, deadline_ms: int) -> JobOutcome:
    gone = asyncio.create_task(_client_gone(request))
    waiting: set[asyncio.Future[Any]] = {job.future, gone}
    try:
        await asyncio.wait(waiting, timeout=deadline_ms / 1000, return_when=asyncio.FIRST_COMPLETED)
        if job.future.done():
            return job.future.result()
        if gone.done():
            raise ApiError(499, "client_left", "the client left before the answer")
        raise ApiError(504, "deadline_exceeded", f"no answer within the deadline of {deadline_ms} ms")
    finally:
        gone.cancel()
        if not job.future.done():
            batcher.cancel(job)


async def _client_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
