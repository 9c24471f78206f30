"""What a request asks of a model, and what the model answers: the words between routes and worker."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Measure = Literal["head", "cosine"]


class Layout(StrEnum):
    """Which pairs of a request's texts are scored, its first sentences standing before its second ones."""

    none = "none"
    one_to_many = "one_to_many"
    many_to_one = "many_to_one"
    pairwise = "pairwise"
    matrix = "matrix"


@dataclass(frozen=True, slots=True)
class Work:
    """One request's work.

    Args:
        texts: first sentences, then second ones; only those to embed when no pair is scored.
        layout: which pairs are scored.
        first: how many of the texts are first sentences; 0 when no pair is scored.
        measure: what scores a pair: the model's pair head, or the cosine of the two embeddings.
        embeddings: whether the vectors are wanted.
        explain: whether each pair is explained by its words.
        keep: which end of a sentence beyond the token limit is kept.
    """

    texts: Sequence[str]
    layout: Layout = Layout.none
    first: int = 0
    measure: Measure = "head"
    embeddings: bool = False
    explain: bool = False
    keep: Literal["start", "end"] = "start"

    @property
    def pairs(self) -> int:
        """How many pairs are scored."""
        second = len(self.texts) - self.first
        match self.layout:
            case Layout.none:
                return 0
            case Layout.one_to_many | Layout.pairwise:
                return second
            case Layout.many_to_one:
                return self.first
            case Layout.matrix:
                return self.first * second


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the model says about one request; lists hold one item per text of the work, repeated ones included.

    Args:
        embeddings: [texts, D] float32; [0, D] unless they were wanted.
        scores: [pairs] float32, of a matrix row by row.
        probabilities: [pairs] float32; None when the checkpoint has no calibration, or the measure is the cosine.
        explanations: one JSON object per pair, as ``Explanation.as_dict`` gives it; None unless they were wanted.
        token_counts: after truncation.
        truncated: whether it was cut at the model's token limit.
        unknown_ratios: share of its tokens that the model does not know, in [0, 1].
        queue_seconds: from submission until the worker took up the last of it.
        tokenization_seconds: time of tokenizing what was tokenized together with it.
        inference_seconds: time of the model calls that it was part of.
    """

    embeddings: NDArray[np.float32]
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None
    explanations: list[dict[str, Any]] | None
    token_counts: list[int]
    truncated: list[bool]
    unknown_ratios: list[float]
    queue_seconds: float
    tokenization_seconds: float
    inference_seconds: float
