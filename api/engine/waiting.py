"""Which sentences are computed next: short ones first, but none waits long for shorter ones."""

import heapq
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from api.engine.jobs import Job

_BYTES_OF_ID = array("I").itemsize


@dataclass(eq=False, slots=True)
class Sentence:
    """A sentence that waits to be computed, for one or more jobs.

    Args:
        key: its token ids, as bytes.
        since: when it began to wait, in seconds of the monotonic clock.
        jobs: whose sentence it is; none are left once all of them were cancelled.
    """

    key: bytes
    since: float
    jobs: list[Job] = field(default_factory=list)

    @property
    def ids(self) -> Sequence[int]:
        """Its token ids."""
        return array("I", self.key)

    @property
    def tokens(self) -> int:
        """How many tokens it has."""
        return len(self.key) // _BYTES_OF_ID


class WaitingSentences:
    """The sentences to compute, each once for whoever wants it.

    A model call takes as many steps as its longest sentence has tokens, so sentences of like length go together,
    shortest first. One that has waited longer than ``max_age`` seconds goes before all younger ones.
    """

    def __init__(self, max_age: float) -> None:
        self._max_age = max_age
        self._sentences: dict[bytes, Sentence] = {}
        self._by_age: deque[Sentence] = deque()
        self._by_length: list[tuple[int, int, Sentence]] = []
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._sentences)

    def add(self, key: bytes, job: Job, now: float) -> bool:
        """Let a sentence wait for a job; False when it waits for another one already."""
        sentence = self._sentences.get(key)
        if sentence is not None:
            sentence.jobs.append(job)
            return False
        sentence = Sentence(key, now, [job])
        self._sentences[key] = sentence
        self._arrivals += 1
        self._by_age.append(sentence)
        heapq.heappush(self._by_length, (sentence.tokens, self._arrivals, sentence))
        return True

    def drop(self, key: bytes, job: Job) -> None:
        """Let a sentence no longer wait for this job."""
        sentence = self._sentences.get(key)
        if sentence is not None and job in sentence.jobs:
            sentence.jobs.remove(job)
            if not sentence.jobs:
                del self._sentences[key]

    def take(self, max_tokens: int, now: float) -> list[Sentence]:
        """Take the sentences of the next model call: at least one if any waits, else up to ``max_tokens`` tokens."""
        self._forget_taken()
        taken: list[Sentence] = []
        tokens = 0
        while self._sentences:
            sentence = self._next(now)
            if taken and tokens + sentence.tokens > max_tokens:
                break
            tokens += sentence.tokens
            del self._sentences[sentence.key]
            taken.append(sentence)
        return taken

    def _next(self, now: float) -> Sentence:
        while not self._is_waiting(self._by_age[0]):
            self._by_age.popleft()
        oldest = self._by_age[0]
        if now - oldest.since > self._max_age:
            return oldest
        while not self._is_waiting(self._by_length[0][2]):
            heapq.heappop(self._by_length)
        return self._by_length[0][2]

    def _forget_taken(self) -> None:
        """Drop what stays behind in one order when it was taken by the other, before it outgrows what waits."""
        if len(self._by_length) + len(self._by_age) > 4 * len(self._sentences) + 1024:
            self._by_age = deque(filter(self._is_waiting, self._by_age))
            self._by_length = [item for item in self._by_length if self._is_waiting(item[2])]
            heapq.heapify(self._by_length)

    def _is_waiting(self, sentence: Sentence) -> bool:
        return self._sentences.get(sentence.key) is sentence
