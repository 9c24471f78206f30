"""The worker's engine: jobs in, answers out, one model call at a time, and no thread, socket or clock of its own."""

import logging
import time
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.engine.budget import TokenBudget
from api.engine.cache import VectorCache
from api.engine.embedding import embed, places
from api.engine.explaining import explain_pair, pairs_of
from api.engine.jobs import Failed, Job, distinct
from api.engine.scoring import Answer, answer_all
from api.engine.threads import Threads
from api.engine.tokenizing import tokenize
from api.engine.waiting import WaitingSentences
from simlstm.models.similarity import SimilarityModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What one step did, for the server's metrics.

    Args:
        sentences: distinct sentences that were computed.
        tokens: their tokens.
        seconds: time of the step.
        repeated: sentences of jobs that waited for another one's computation, or stood twice in their own.
        retries: model calls that failed and were taken apart.
        poisoned: sentences that failed alone.
    """

    sentences: int = 0
    tokens: int = 0
    seconds: float = 0.0
    repeated: int = 0
    retries: int = 0
    poisoned: int = 0


@dataclass(frozen=True, slots=True)
class Explained:
    """An answer and what made it.

    Args:
        answer: the answer.
        explanations: one JSON object a pair.
    """

    answer: Answer
    explanations: list[dict[str, Any]]


@dataclass(slots=True)
class Step:
    """What one step brought.

    Args:
        answers: of jobs that are done.
        explained: of jobs that wanted to be explained, and are done.
        failures: jobs that cannot be answered.
        statistics: what was done for them.
    """

    answers: list[Answer] = field(default_factory=list)
    explained: list[Explained] = field(default_factory=list)
    failures: list[Failed] = field(default_factory=list)
    statistics: Statistics = field(default_factory=Statistics)


class Engine:
    """Computes what waits, merged over jobs: identical sentences once, known ones not at all.

    Args:
        model: used by the caller's thread only.
        max_batch_tokens: budget of one model call; a longer sentence runs alone.
        cache_bytes: bound of the vectors kept.
        max_age: seconds after which a waiting sentence goes before shorter ones.
        threads: fitted to each call; None leaves them as they are.
    """

    def __init__(
        self,
        model: SimilarityModel,
        *,
        max_batch_tokens: int,
        cache_bytes: int,
        max_age: float,
        threads: Threads | None = None,
    ) -> None:
        self._model = model
        self._threads = threads
        self._waiting = WaitingSentences(max_age)
        self._jobs: dict[int, Job] = {}
        self._ready: list[Job] = []
        self._failed: list[Failed] = []
        self._explaining: deque[Explained] = deque()
        self._repeated = 0
        self.cache = VectorCache(cache_bytes)
        self.budget = TokenBudget(max_batch_tokens)

    @property
    def is_busy(self) -> bool:
        """Whether ``step`` has anything to do."""
        return bool(self._jobs or self._failed or self._explaining)

    def add(self, jobs: Sequence[Job]) -> None:
        """Take jobs: tokenize them together, answer from the cache what is there, and let the rest wait."""
        now = time.monotonic()
        for failed in tokenize(self._model, jobs):
            self._failed.append(failed)
        for job in jobs:
            if len(job.keys) < len(job.work.texts):
                continue  # it failed
            self._jobs[job.number] = job
            keys = distinct(job.keys)
            self._repeated += len(job.keys) - len(keys)
            for key in keys:
                vector = self.cache.get(key)
                if vector is not None:
                    job.vectors[key] = vector
                    continue
                job.missing.add(key)
                self._repeated += not self._waiting.add(key, job, now)
            if not job.missing:
                job.taken = now
                self._ready.append(job)

    def cancel(self, numbers: Collection[int]) -> int:
        """Drop jobs that nobody waits for any more; return how many were still here."""
        explained = [one for one in self._explaining if one.answer.job.number not in numbers]
        dropped = len(self._explaining) - len(explained)
        self._explaining = deque(explained)
        for number in numbers:
            job = self._jobs.pop(number, None)
            if job is None:
                continue
            dropped += 1
            for key in job.missing:
                self._waiting.drop(key, job)
        if dropped:
            self._ready = [job for job in self._ready if job.number in self._jobs]
        return dropped

    def step(self) -> Step:
        """Make one model call for what waits, score what is complete, and explain at most one pair."""
        started = time.perf_counter()
        taken = self._waiting.take(self.budget.tokens, time.monotonic())
        tokens = sum(sentence.tokens for sentence in taken)
        retries = poisoned = 0
        if taken:
            if self._threads is not None:
                self._threads.fit(tokens)
            now = time.monotonic()
            told: set[int] = set()
            embedded = embed(self._model, taken, self.budget)
            retries, poisoned = embedded.retries, len(embedded.failures)
            for sentence in taken:
                vector = embedded.vectors.get(sentence.key)
                if vector is not None:
                    self.cache.put(sentence.key, vector)
                for job in sentence.jobs:
                    if vector is None:
                        self._fail(job, embedded.failures[sentence.key])
                        continue
                    if job.number not in told:
                        told.add(job.number)
                        job.taken = now
                        job.inference_seconds += embedded.seconds
                    job.vectors[sentence.key] = vector
                    job.missing.remove(sentence.key)
                    if not job.missing and job.number in self._jobs:
                        self._ready.append(job)
        step = self._answer()
        step.failures, self._failed = self._failed, []
        step.statistics = Statistics(
            sentences=len(taken),
            tokens=tokens,
            seconds=time.perf_counter() - started,
            repeated=self._repeated,
            retries=retries,
            poisoned=poisoned,
        )
        self._repeated = 0
        return step

    def _answer(self) -> Step:
        step = Step()
        ready, self._ready = self._ready, []
        for answer in self._scored(ready):
            del self._jobs[answer.job.number]
            if answer.job.work.explain:
                self._explaining.append(Explained(answer, []))
            else:
                step.answers.append(answer)
        if self._explaining:
            self._explain_one(step)
        return step

    def _scored(self, jobs: list[Job]) -> list[Answer]:
        """Score jobs together, and each alone when that fails."""
        if not jobs:
            return []
        try:
            return answer_all(self._model, jobs)
        except Exception as error:
            logger.warning("scoring %d requests failed with %s\n%s", len(jobs), type(error).__name__, places(error))
            if len(jobs) > 1:
                return [answer for job in jobs for answer in self._scored([job])]
            self._fail(jobs[0], type(error).__name__)
            return []

    def _explain_one(self, step: Step) -> None:
        explained = self._explaining[0]
        job = explained.answer.job
        pairs = pairs_of(job.work)
        try:
            explained.explanations.append(explain_pair(self._model, pairs[len(explained.explanations)]))
        except Exception as error:
            logger.error("the model failed to explain a pair with %s\n%s", type(error).__name__, places(error))
            self._failed.append(Failed(job, type(error).__name__))
            self._explaining.popleft()
            return
        if len(explained.explanations) == len(pairs):
            step.explained.append(self._explaining.popleft())

    def _fail(self, job: Job, error: str) -> None:
        if self._jobs.pop(job.number, None) is None:
            return
        for key in job.missing:
            self._waiting.drop(key, job)
        self._failed.append(Failed(job, error))
