"""A model that is served under a name: its worker, its limits, its replacement when it dies, its reloading."""

import asyncio
import logging
import math
import pickle
import time
from collections import deque
from collections.abc import Callable

from api.engine.frames import Header
from api.facts import Facts, facts_of
from api.metrics import Metrics
from api.served import ModelSettings
from api.settings import Settings
from api.spawning import NURSERY
from api.stamps import Stamp, stamp_of
from api.steps import StepCounter
from api.work import Work
from api.worker import Ticket, Worker, WorkerStartError, WorkerUnavailableError
from simlstm.models.similarity import SimilarityModel

logger = logging.getLogger(__name__)

_LARGEST_RETRY_SECONDS = 60
_SENTENCES_OF_A_PAIR = 2
_MOST_UNSENT_BYTES = 64 * 2**20  # to a worker that does not read; cancelled requests are among them


class QueueFullError(Exception):
    """The queue has no room for this many sentences now; ``retry_after`` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the queue is full; room is expected in {retry_after} s")
        self.retry_after = retry_after


class HostedModel:
    """One model under one name; used on the event loop only.

    Args:
        own: its path, arithmetic and limits.
        settings: what holds for all models.
        metrics: counters of the application.
        model: served instead of what is at the path: a copy of it, made now.
    """

    def __init__(self, own: ModelSettings, settings: Settings, metrics: Metrics, model: SimilarityModel | None) -> None:
        self.own = own
        self._settings = settings
        self._metrics = metrics
        self._blob = b"" if model is None else pickle.dumps(model)
        self._facts: Facts | None = None
        self._worker: Worker | None = None
        self._retired: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._reloading = asyncio.Lock()
        self._replacements: deque[float] = deque()
        self._trouble: str | None = "the model is being loaded"
        self._answered, self._seconds = 1000.0, 1.0
        self._stamp: Stamp | None = None
        self.cache_bytes = 0
        self.counter: Callable[[Header], None] | None = None

    @property
    def facts(self) -> Facts:
        """What is known of the model that is served now."""
        if self._facts is None:
            raise RuntimeError("the model was never loaded: it is served only while the service runs")
        return self._facts

    @property
    def known_name(self) -> str | None:
        """The name that clients use, or None while the model that would have one is not there."""
        return self.own.name or (None if self._facts is None else self._facts.name)

    @property
    def waiting_sentences(self) -> int:
        """Sentences that are in the worker's hands."""
        return 0 if self._worker is None else self._worker.sentences

    @property
    def trouble(self) -> str | None:
        """Why requests cannot be computed now, or None when they can."""
        if self._trouble is not None:
            return self._trouble
        if self._worker is None or not self._worker.is_alive:
            return "the model's worker is dead"
        if self._worker.stalled_for() > self._settings.stall_seconds:
            return "the model's worker is stuck"
        return None

    @property
    def is_overloaded(self) -> bool:
        """Whether the queue is fuller than the share at which readiness ends."""
        return self.waiting_sentences > self._settings.overload_share * self.own.max_waiting_sentences

    @property
    def refusal(self) -> QueueFullError | None:
        """Why any request can be refused unread: the queue has no room for a pair."""
        room = self.own.max_waiting_sentences - self.waiting_sentences
        return QueueFullError(self._retry_after()) if room < _SENTENCES_OF_A_PAIR else None

    async def start(self) -> None:
        """Load the model and warm it up, and watch over its worker from then on.

        Raises:
            WorkerStartError: when there is no usable checkpoint.
            WorkerUnavailableError: when the worker's process ends, or takes too long.
            OSError: when the system gives no process.
        """
        await self._take(await self._new_worker())
        self._tasks.append(asyncio.create_task(self._watch()))
        if self._settings.reload_seconds and not self._blob:
            self._tasks.append(asyncio.create_task(self._look_for_changes()))

    async def close(self) -> None:
        """End the worker and those retired before it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._worker is not None:
            self._retire(self._worker, 0.0)
        await asyncio.gather(*self._retired)

    def submit(self, work: Work) -> Ticket:
        """Hand a request to the worker.

        Raises:
            QueueFullError: when it does not fit into the queue now.
            WorkerUnavailableError: when nobody would take it.
        """
        trouble = self.trouble
        if trouble is not None or self._worker is None:
            raise WorkerUnavailableError(trouble)
        is_full = self._worker.sentences + len(work.texts) > self.own.max_waiting_sentences
        if is_full or self._worker.unsent_bytes > _MOST_UNSENT_BYTES:
            raise QueueFullError(self._retry_after())
        return self._worker.submit(work)

    def cancel(self, ticket: Ticket) -> None:
        """Drop a request that nobody waits for any more."""
        ticket.worker.cancel(ticket)

    async def reload(self) -> bool:
        """Load what is at the model's path now; requests go to the old weights until the new ones are warm.

        Returns:
            Whether it was taken up. A checkpoint that is damaged or does not compute is refused, and the log says why.
        """
        if self._blob:
            return False
        async with self._reloading:
            try:
                worker = await self._new_worker()
            except (WorkerStartError, WorkerUnavailableError, OSError) as error:
                logger.error("%s is not reloaded, the old weights stay: %s", self.known_name, error)
                self._metrics.reloads.labels(self.facts.name, "refused").inc()
                return False
            old = self._worker
            await self._take(worker)
            if old is not None:
                self._retire(old, self._settings.max_deadline_ms / 1000)
            self._metrics.reloads.labels(self.facts.name, "taken_up").inc()
            logger.info("%s is reloaded: weights %.12s", self.facts.name, self.facts.fingerprint)
            return True

    async def _new_worker(self) -> Worker:
        own = self.own
        folder = None if self._blob else str(own.path)
        if folder is not None:
            self._stamp = await asyncio.to_thread(stamp_of, folder)
        connection, pid = await NURSERY.worker()
        return await Worker.start(
            connection,
            pid,
            {
                "folder": folder,
                "log_level": self._settings.log_level,
                "device": own.device,
                "dtype": own.dtype,
                "threads": own.threads,
                "max_batch_tokens": own.max_batch_tokens,
                "cache_bytes": self._settings.cache_bytes,
                "max_age": self._settings.max_age_ms / 1000,
            },
            self._blob,
            on_step=StepCounter(self, self._metrics),
            timeout=self._settings.start_seconds,
        )

    async def _take(self, worker: Worker) -> None:
        said = worker.facts.result()
        # A link that points to another folder now is still the model that clients know.
        try:
            facts = await asyncio.to_thread(facts_of, self.known_name or said["name"], said)
        except BaseException:
            worker.kill()
            raise
        before, self._facts = self._facts, facts
        self._worker = worker
        self._trouble = None
        self.counter = worker.on_step
        self.cache_bytes = 0
        if before is not None and before.fingerprint != facts.fingerprint:
            logger.warning(
                "%s has new weights: %.12s instead of %.12s", facts.name, facts.fingerprint, before.fingerprint
            )
        self._metrics.add_model(self._facts.name)
        self._metrics.batch_token_budget.labels(self._facts.name).set(self.own.max_batch_tokens)

    def _retire(self, worker: Worker, timeout: float) -> None:
        task = asyncio.create_task(worker.stop(timeout))
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)

    async def _watch(self) -> None:
        """Replace the worker when its process ends, or when it is found silent twice in a row."""
        period = min(1.0, self._settings.stall_seconds / 4)
        suspected: Worker | None = None
        while True:
            worker = self._worker
            if worker is None or not worker.is_alive:
                await self._replace()
                continue
            await asyncio.wait([worker.closed], timeout=period)
            if worker is not self._worker or not worker.is_alive:
                continue
            if worker.stalled_for() <= self._settings.stall_seconds:
                suspected = None
                worker.ping()
            elif suspected is worker:
                logger.critical("the worker of %s has said nothing for too long and is killed", self.known_name)
                worker.kill()
                await asyncio.wait([worker.closed], timeout=5)
            else:
                # Once may be this process's own sleep: what the worker said meanwhile is read before the next look.
                suspected = worker

    async def _replace(self) -> None:
        died = time.monotonic()
        self._trouble = "the model's worker died and is being replaced"
        logger.critical("the worker of %s is gone and is being replaced", self.known_name)
        while self._worker is None or not self._worker.is_alive:  # a reload may come first
            now = time.monotonic()
            while self._replacements and now - self._replacements[0] > self._settings.restart_window_seconds:
                self._replacements.popleft()
            if len(self._replacements) >= self._settings.restart_limit:
                self._trouble = (
                    f"the model's worker is dead, after {len(self._replacements)} replacements within "
                    f"{self._settings.restart_window_seconds:g} s: restart this server"
                )
                await asyncio.sleep(min(1.0, self._settings.restart_window_seconds))
                continue
            self._replacements.append(now)
            self._metrics.worker_restarts.labels(self.facts.name).inc()
            async with self._reloading:
                if self._worker is not None and self._worker.is_alive:
                    return
                try:
                    await self._take(await self._new_worker())
                except (WorkerStartError, WorkerUnavailableError, OSError) as error:
                    logger.error("the worker of %s cannot be replaced: %s", self.known_name, error)
                else:
                    logger.warning("%s computes again after %.2f s", self.known_name, time.monotonic() - died)
                    return
            await asyncio.sleep(0.2)

    async def _look_for_changes(self) -> None:
        while True:
            await asyncio.sleep(self._settings.reload_seconds)
            stamp = await asyncio.to_thread(stamp_of, str(self.own.path))
            if stamp is not None and stamp != self._stamp:
                await self.reload()

    def _retry_after(self) -> int:
        seconds = self.waiting_sentences * self._seconds / max(self._answered, 1e-3)
        return min(_LARGEST_RETRY_SECONDS, max(1, math.ceil(seconds)))

    def note_speed(self, answered: int, seconds: float) -> None:
        """Note how many sentences a step answered; the last few steps make the drain rate."""
        self._answered = 0.9 * self._answered + answered
        self._seconds = 0.9 * self._seconds + seconds
