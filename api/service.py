"""What the routes talk to: the served models, whether they are well, and one request's wait for its answer."""

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import AsyncIterator, Iterator

from fastapi import Request

from api.errors import ApiError
from api.facts import Facts
from api.hosting import HostedModel, QueueFullError
from api.lateness import Lateness
from api.metrics import Metrics
from api.served import ModelSettings
from api.settings import Settings
from api.shutdown import announced_shutdown
from api.work import Outcome, Work
from api.worker import ComputationError, Ticket, WorkerStartError, WorkerUnavailableError
from simlstm.models.similarity import SimilarityModel

logger = logging.getLogger(__name__)
# Most answers come sooner; only for later ones it is worth a task that notices the client's leaving.
_SECONDS_UNWATCHED = 0.05


class StartError(Exception):
    """The server cannot start; the message is one sentence for whoever started it."""


class Service:
    """The served models, from loading to draining.

    Args:
        settings: the server's settings.
        metrics: counters of the application.
        model: served instead of what the settings name, as a copy made when the service starts to run.
    """

    def __init__(self, settings: Settings, metrics: Metrics, model: SimilarityModel | None = None) -> None:
        self.settings = settings
        self.metrics = metrics
        self.draining = False
        self.lateness = Lateness()
        self._model = model
        self._hosted: dict[str, HostedModel] = {}
        self._first: HostedModel | None = None
        metrics.ready.set_function(lambda: float(self.not_ready_because is None))
        metrics.worker_up.set_function(lambda: float(self.alive))
        metrics.queue_size.set_function(lambda: float(sum(hosted.waiting_sentences for hosted in self._all)))
        metrics.cache_bytes.set_function(lambda: float(sum(hosted.cache_bytes for hosted in self._all)))

    @property
    def _all(self) -> list[HostedModel]:
        return list(self._hosted.values())

    @property
    def known_name(self) -> str | None:
        """The default model's name, or None while the model that would have one is not there."""
        return None if self._first is None else self._first.known_name

    @property
    def all_facts(self) -> list[Facts]:
        """The facts of every served model, the default one first."""
        return [hosted.facts for hosted in self._all]

    @property
    def alive(self) -> bool:
        """Whether every model can compute."""
        return self.dead_because is None

    @property
    def dead_because(self) -> str | None:
        """Why some model cannot compute, or None when all can."""
        if not self._hosted:
            return "the model is being loaded"
        for name, hosted in self._hosted.items():
            if trouble := hosted.trouble:
                return trouble if len(self._hosted) == 1 else f"{name}: {trouble}"
        return None

    @property
    def not_ready_because(self) -> str | None:
        """Why no new traffic should be sent here, or None when it should."""
        if reason := self.dead_because:
            return reason
        if self.draining:
            return "the server is shutting down"
        if self.lateness.is_overloaded:
            return "the server cannot keep up"
        for name, hosted in self._hosted.items():
            if hosted.is_overloaded:
                return "the queue is full" if len(self._hosted) == 1 else f"{name}: the queue is full"
        return None

    def find(self, name: str | None = None) -> Facts:
        """Return the facts of the model that clients call this; None is the server's default model.

        Raises:
            ApiError: 404 for a name that is not served, 503 when no model is served at all.
        """
        if self._first is None:
            raise ApiError(503, "unavailable", "the model is not being served", headers={"Retry-After": "5"})
        hosted = self._first if name is None else self._hosted.get(name)
        if hosted is None:
            served = ", ".join(map(repr, self._hosted))
            raise ApiError(
                404, "model_not_found", f"no model {name!r:.200} is served here; served: {served}", field="model"
            )
        return hosted.facts

    def limits(self, model: Facts) -> ModelSettings:
        """Return what is set about a model that ``find`` found."""
        return self._hosted[model.name].own

    def early_refusal(self) -> ApiError | None:
        """Say why any request can be refused before it is read, or None: every model's queue is full."""
        refusals = [hosted.refusal for hosted in self._all]
        if not refusals or not all(refusals):
            return None
        return _overloaded(min((refusal for refusal in refusals if refusal), key=lambda refusal: refusal.retry_after))

    def refuses_unparsed(self, path: str) -> bool:
        """Whether the web server is to refuse a request to a path before it is parsed; what is refused is counted."""
        if self.lateness.admits():
            return False
        self.metrics.count_response(path, 429)
        self.metrics.count_inference("single", 429, 0.0)
        return True

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load, warm up and serve the models; on leaving, stop their workers.

        Raises:
            StartError: when there is no usable checkpoint.
        """
        hosted = [HostedModel(own, self.settings, self.metrics, self._model) for own in self._served()]
        try:
            for one in hosted:
                await self._start(one)
            self.lateness.start()
            with announced_shutdown(self._drain, delay=self.settings.shutdown_delay_seconds), self._reload_on_signal():
                yield
        finally:
            self._drain()
            self.lateness.stop()
            await asyncio.gather(*(one.close() for one in hosted))

    async def compute(self, request: Request, model: Facts, work: Work, *, deadline_ms: int | None = None) -> Outcome:
        """Let the worker of a model do a request's work, and wait for it.

        Raises:
            ApiError: 429 when the queue is full, 503 when there is no worker, 504 when the deadline passes, 500 when
                the model fails on this request, 499 when the client has left.
        """
        hosted = self._hosted[model.name]
        metrics = self.metrics
        try:
            ticket = hosted.submit(work)
            metrics.embed_count.inc(len(work.texts))
            outcome = await self._wait(hosted, ticket, request, deadline_ms or self.settings.default_deadline_ms)
        except QueueFullError as error:
            raise _overloaded(error) from error
        except WorkerUnavailableError as error:
            raise ApiError(503, "unavailable", str(error), headers={"Retry-After": "1"}) from error
        except ComputationError as error:
            raise ApiError(500, "model_failed", str(error)) from error
        metrics.queue_duration.observe(outcome.queue_seconds)
        metrics.tokenization_duration.observe(outcome.tokenization_seconds)
        metrics.inference_duration.observe(outcome.inference_seconds)
        metrics.embed_success.inc(len(work.texts))
        metrics.pairs.inc(work.pairs)
        truncated = sum(outcome.truncated)
        if truncated:
            metrics.truncated.inc(truncated)
        for count in outcome.token_counts:
            metrics.input_length.observe(count)
        state = request.state
        state.model = model.name
        state.sentences = len(work.texts)
        state.tokens = sum(outcome.token_counts)
        state.timings = {
            "queue": outcome.queue_seconds,
            "tokenization": outcome.tokenization_seconds,
            "inference": outcome.inference_seconds,
        }
        return outcome

    async def reload(self) -> list[str]:
        """Load every model's checkpoint again, one after the other; return the names of those taken up."""
        return [hosted.facts.name for hosted in self._all if await hosted.reload()]

    def _served(self) -> tuple[ModelSettings, ...]:
        if self._model is None:
            if not self.settings.served:
                raise StartError("no model to serve: name a shipped one, or a folder, by --model or SIMLSTM_MODEL")
            return self.settings.served
        return (
            ModelSettings(
                name=self.settings.name,
                path="",
                device=None,
                dtype=None,
                threads=self.settings.threads,
                max_waiting_sentences=self.settings.max_waiting_sentences,
                max_batch_tokens=self.settings.max_batch_tokens,
                max_request_sentences=self.settings.max_request_sentences,
            ),
        )

    async def _start(self, hosted: HostedModel) -> None:
        what = hosted.own.path or "the model"
        try:
            await hosted.start()
        except (WorkerStartError, WorkerUnavailableError, OSError) as error:
            raise StartError(f"cannot serve {what}: {error}") from error
        facts = hosted.facts
        if facts.name in self._hosted:
            raise StartError(f"two models are called {facts.name!r}: give one of them another name, as NAME=PATH")
        self._hosted[facts.name] = hosted
        self._first = self._first or hosted
        logger.info("serving %s: %s, %s backend, %s", facts.name, facts.dtype, facts.backend, facts.device)

    async def _wait(self, hosted: HostedModel, ticket: Ticket, request: Request, deadline_ms: int) -> Outcome:
        loop = asyncio.get_running_loop()
        future = ticket.future
        watchers: list[asyncio.Task[None]] = []

        def watch() -> None:
            if not future.done():
                watchers.append(loop.create_task(_fail_when_gone(request, future)))

        def expire() -> None:
            if not future.done():
                future.set_exception(
                    ApiError(504, "deadline_exceeded", f"no answer within the deadline of {deadline_ms} ms")
                )

        timers = loop.call_later(_SECONDS_UNWATCHED, watch), loop.call_later(deadline_ms / 1000, expire)
        try:
            return await future
        except (ApiError, asyncio.CancelledError) as error:
            hosted.cancel(ticket)
            if isinstance(error, ApiError) and error.code == "client_left":
                self.metrics.cancelled.inc()
            raise
        finally:
            for timer in timers:
                timer.cancel()
            for watcher in watchers:
                watcher.cancel()

    @contextlib.contextmanager
    def _reload_on_signal(self) -> Iterator[None]:
        """On SIGHUP, load all checkpoints again; without effect outside the main thread, where signals cannot come."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        reloads: set[asyncio.Task[list[str]]] = set()

        def on_signal() -> None:
            task = loop.create_task(self.reload())
            reloads.add(task)
            task.add_done_callback(reloads.discard)

        previous = signal.getsignal(signal.SIGHUP)
        signal.signal(signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(on_signal))
        try:
            yield
        finally:
            signal.signal(signal.SIGHUP, previous)
            for task in reloads:
                task.cancel()

    def _drain(self) -> None:
        self.draining = True


def _overloaded(error: QueueFullError) -> ApiError:
    return ApiError(429, "overloaded", str(error), headers={"Retry-After": str(error.retry_after)})


async def _fail_when_gone(request: Request, future: asyncio.Future[Outcome]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    if not future.done():
        future.set_exception(ApiError(499, "client_left", "the client left before the answer"))
