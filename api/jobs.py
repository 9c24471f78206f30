"""The unit of work between the event loop and the worker: one request's sentences, and what came of them."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from simlstm.text.tokenizer import Tokenization


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the model says about one request.

    Args:
        embeddings: [texts, D] float32, one row per text of the job.
        scores: one per pair of the job; empty when the job has no pairs.
        probabilities: one per pair, or None when the checkpoint has no calibration.
        token_counts: one per text, after truncation.
        truncated: one per text: whether it was cut at the model's token limit.
        unknown_ratios: one per text, in [0, 1].
        queue_seconds: from submission until the worker took the job.
        tokenization_seconds: time of tokenizing this job alone.
        inference_seconds: time of the model call that this job was part of.
    """

    embeddings: npt.NDArray[np.float32]
    scores: list[float]
    probabilities: list[float] | None
    token_counts: list[int]
    truncated: list[bool]
    unknown_ratios: list[float]
    queue_seconds: float
    tokenization_seconds: float
    inference_seconds: float


@dataclass(eq=False, slots=True)
class Job:
    """One request's work; created on the event loop, filled in by the worker.

    Args:
        texts: the sentences of the request, repeated ones included.
        pairs: (first, second) positions in ``texts`` of each pair to score; empty for embeddings only.
        future: belongs to the event loop that is current when the job is made; gets the ``Outcome`` or an exception.
    """

    texts: list[str]
    pairs: Sequence[tuple[int, int]] = ()
    future: asyncio.Future[Outcome] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    submitted: float = field(default_factory=time.perf_counter)
    taken: float = 0.0
    tokenizations: list[Tokenization] | None = None
    tokens: int = 0
    tokenization_seconds: float = 0.0

    def resolve(self, result: Outcome | Exception) -> None:
        """Hand the result to the waiting request, from any thread; a request that no longer waits is left alone."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.future.get_loop().call_soon_threadsafe(self._settle, result)

    def _settle(self, result: Outcome | Exception) -> None:
        if self.future.done():
            return
        if isinstance(result, Exception):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)
