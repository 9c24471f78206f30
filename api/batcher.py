"""One worker thread that owns the model, behind a bounded queue; the event loop never computes."""

import logging
import math
import threading
import time
import traceback
from collections import deque
from concurrent.futures import Future

import torch

from api.compute import Computation, compute, tokenize
from api.jobs import Job
from api.metrics import Metrics
from simlstm.models.similarity import SimilarityModel

logger = logging.getLogger(__name__)
_WARM_UP = ["warm up", "the first call builds what later calls reuse", "热身"]


class QueueFullError(Exception):
    """The queue has no room for this many sentences now; ``retry_after`` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the queue is full; room is expected in {retry_after} s")
        self.retry_after = retry_after


class WorkerUnavailableError(Exception):
    """The worker is dead, stuck or stopped."""


class ComputationError(Exception):
    """The model failed on this one request."""


class Batcher:
    """Merges what waits into one model call, up to a token budget; what fails together is retried alone.

    Args:
        model: from ``start`` on, touched by the worker thread only.
        metrics: counters of the application.
        max_waiting_sentences: bound of the queue, in sentences, so that a batch counts as what it is.
        max_batch_tokens: budget of one model call; a larger job runs alone.
        stall_seconds: a call that takes longer makes ``alive`` false.
        threads: torch threads of the worker; None leaves torch's choice.
    """

    def __init__(
        self,
        model: SimilarityModel,
        metrics: Metrics,
        *,
        max_waiting_sentences: int,
        max_batch_tokens: int,
        stall_seconds: float,
        threads: int | None = None,
    ) -> None:
        self._model = model
        self._metrics = metrics
        self._max_waiting_sentences = max_waiting_sentences
        self._max_batch_tokens = max_batch_tokens
        self._stall_seconds = stall_seconds
        self._threads = threads
        self._waiting: deque[Job] = deque()
        self._waiting_sentences = 0
        self._in_hand: list[Job] = []
        self._busy_since: float | None = None
        self._sentences_per_second = 1000.0
        self._stopping = False
        self._dead = False
        self._warm: Future[None] = Future()
        self._work = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="simlstm-model", daemon=True)

    def start(self) -> Future[None]:
        """Start the worker thread; the future is done when the model is warm, and carries its failure if it is not."""
        self._metrics.worker_up.set_function(lambda: float(self.alive))
        self._metrics.queue_size.set_function(lambda: float(self._waiting_sentences))
        self._thread.start()
        return self._warm

    def stop(self, timeout: float) -> None:
        """Refuse new work, fail what still waits, and give the model call in progress ``timeout`` seconds to end."""
        with self._work:
            self._stopping = True
            self._work.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout)

    @property
    def alive(self) -> bool:
        """Whether the worker thread lives and its current model call has not run for too long."""
        busy_since = self._busy_since
        stalled = busy_since is not None and time.perf_counter() - busy_since > self._stall_seconds
        return self._thread.is_alive() and not self._dead and not stalled

    @property
    def overloaded(self) -> bool:
        """Whether less than a tenth of the queue is free."""
        return self._waiting_sentences > 0.9 * self._max_waiting_sentences

    def submit(self, job: Job) -> None:
        """Queue a job; its future will be resolved.

        Raises:
            QueueFullError: when the job does not fit into the queue now.
            WorkerUnavailableError: when nobody would ever take it.
        """
        with self._work:
            if self._stopping or not self.alive:
                raise WorkerUnavailableError("the model's worker is not running")
            if self._waiting_sentences + len(job.texts) > self._max_waiting_sentences:
                seconds = self._waiting_sentences / self._sentences_per_second
                raise QueueFullError(min(60, max(1, math.ceil(seconds))))
            self._waiting.append(job)
            self._waiting_sentences += len(job.texts)
            self._work.notify()
        self._metrics.embed_count.inc(len(job.texts))

    def cancel(self, job: Job) -> None:
        """Drop a job nobody waits for any more; one that is being computed is finished and its result discarded."""
        job.future.cancel()
        with self._work:
            if job in self._waiting:
                self._waiting.remove(job)
                self._waiting_sentences -= len(job.texts)
                self._metrics.dropped.inc()

    def _run(self) -> None:
        try:
            if self._threads is not None:
                torch.set_num_threads(self._threads)
            self._model.score(_WARM_UP, _WARM_UP[::-1])
        except BaseException as error:  # whoever started the worker waits for this, whatever it is
            self._dead = True
            self._warm.set_exception(error)
            return
        self._warm.set_result(None)
        try:
            while batch := self._next_batch():
                self._compute(batch)
        except Exception as error:
            logger.critical("the model's worker ends with %s\n%s", type(error).__name__, _places(error))
        finally:
            self._close()

    def _close(self) -> None:
        with self._work:
            self._dead = True
            orphans = [*self._in_hand, *self._waiting]
            self._waiting.clear()
            self._waiting_sentences = 0
        if not self._stopping:
            logger.critical("the model's worker is gone: requests are answered 503 until the server is restarted")
        for job in orphans:
            job.resolve(WorkerUnavailableError("the model's worker stopped before this request was computed"))

    def _next_batch(self) -> list[Job]:
        """Return the next jobs to compute together, tokenized; empty when the worker is to stop."""
        self._in_hand = []
        tokens = 0
        while (job := self._take(wait=not self._in_hand)) is not None:
            self._in_hand.append(job)
            if job.tokenizations is None and not self._tokenize(job):
                self._in_hand.remove(job)
                continue
            if len(self._in_hand) > 1 and tokens + job.tokens > self._max_batch_tokens:
                self._put_back(job)
                break
            tokens += job.tokens
        return self._in_hand

    def _take(self, *, wait: bool) -> Job | None:
        with self._work:
            if wait:
                self._busy_since = None
                self._work.wait_for(lambda: self._waiting or self._stopping)
            if self._stopping or not self._waiting:
                return None
            job = self._waiting.popleft()
            self._waiting_sentences -= len(job.texts)
        job.taken = time.perf_counter()
        self._busy_since = self._busy_since or job.taken
        return job

    def _put_back(self, job: Job) -> None:
        with self._work:
            self._in_hand.remove(job)
            self._waiting.appendleft(job)
            self._waiting_sentences += len(job.texts)

    def _tokenize(self, job: Job) -> bool:
        try:
            tokenize(self._model, job)
        except Exception as error:
            self._fail(job, error)
            return False
        return True

    def _compute(self, jobs: list[Job]) -> None:
        """Compute jobs together, and each alone when that fails, so that one poisoned request fails by itself."""
        try:
            computation = compute(self._model, jobs)
        except Exception as error:
            if len(jobs) == 1:
                self._fail(jobs[0], error)
                return
            logger.warning("a model call for %d requests failed with %s", len(jobs), type(error).__name__)
            self._metrics.retried.inc()
            for job in jobs:
                self._compute([job])
            return
        self._count(jobs, computation)
        for job, outcome in zip(jobs, computation.outcomes, strict=True):
            job.resolve(outcome)

    def _count(self, jobs: list[Job], computation: Computation) -> None:
        sentences = sum(len(job.texts) for job in jobs)
        rate = sentences / max(computation.seconds, 1e-6)
        self._sentences_per_second += 0.2 * (rate - self._sentences_per_second)
        self._metrics.batch_sentences.observe(computation.sentences)
        self._metrics.batch_tokens.observe(computation.tokens)
        self._metrics.repeated.inc(sentences - computation.sentences)
        self._metrics.embed_success.inc(sentences)
        self._metrics.pairs.inc(sum(len(job.pairs) for job in jobs))

    @staticmethod
    def _fail(job: Job, error: Exception) -> None:
        logger.error("the model failed on a request with %s\n%s", type(error).__name__, _places(error))
        job.resolve(ComputationError(f"the model failed on this request ({type(error).__name__})"))


def _places(error: Exception) -> str:
    """Return where the error was raised; its own text may quote a user's sentences, the places in the code do not."""
    return "".join(traceback.format_tb(error.__traceback__))
