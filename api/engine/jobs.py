"""One request's work as the worker sees it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from api.engine.cache import Vector
from api.work import Work


@dataclass(eq=False, slots=True)
class Job:
    """One request's work, from its arrival to its answer.

    Args:
        number: by which server and worker call it.
        work: what is asked for.
        submitted: when the request was submitted, in seconds of the monotonic clock, which both processes share.
        taken: when the last of its sentences was taken up.
        keys: of each text, its token ids as bytes.
        token_counts: of each text, after truncation.
        truncated: of each text, whether it was cut.
        unknown_ratios: of each text.
        missing: distinct sentences whose vectors are not there yet.
        vectors: by key, those that are.
        tokenization_seconds: of the call that tokenized it.
        inference_seconds: of the model calls that it was part of.
    """

    number: int
    work: Work
    submitted: float
    taken: float = 0.0
    keys: list[bytes] = field(default_factory=list)
    token_counts: list[int] = field(default_factory=list)
    truncated: list[bool] = field(default_factory=list)
    unknown_ratios: list[float] = field(default_factory=list)
    missing: set[bytes] = field(default_factory=set)
    vectors: dict[bytes, Vector] = field(default_factory=dict)
    tokenization_seconds: float = 0.0
    inference_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Failed:
    """A job that cannot be answered.

    Args:
        job: which one.
        error: name of the type of what the model raised; never its text, which may quote a user's sentence.
    """

    job: Job
    error: str


def distinct(keys: Sequence[bytes]) -> dict[bytes, int]:
    """Number keys in the order of their first appearance."""
    rows: dict[bytes, int] = {}
    for key in keys:
        rows.setdefault(key, len(rows))
    return rows
