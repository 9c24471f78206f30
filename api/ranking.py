"""Ranks and relevance, shared by the rerank routes of all dialects."""

import numpy as np
from numpy.typing import NDArray

from api.facts import Facts
from api.settings import Settings
from api.work import Measure


def measure_of(settings: Settings) -> Measure:
    """Return what texts are ordered by."""
    return "cosine" if settings.rerank_by == "cosine" else "head"


def relevance(model: Facts, measure: Measure, scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Map scores [n] linearly from their range to [0, 1]."""
    low, high = (-1.0, 1.0) if measure == "cosine" else model.score_bounds
    mapped: NDArray[np.float64] = (scores.astype(np.float64) - low) / (high - low)
    return mapped.clip(0.0, 1.0)  # a score may pass its bound by a rounding


def descending(scores: NDArray[np.float32]) -> list[int]:
    """Return the places of the scores, the highest first; equal ones keep their order."""
    places: list[int] = np.argsort(-scores, kind="stable").tolist()
    return places
