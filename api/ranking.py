"""Ranks and relevance, shared by the rerank routes of all dialects."""

import numpy as np
from numpy.typing import NDArray

from api.facts import Facts


def relevance(model: Facts, scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Map a pair head's scores [n] linearly from their range to [0, 1]."""
    low, high = model.score_bounds
    mapped: NDArray[np.float64] = (scores.astype(np.float64) - low) / (high - low)
    return mapped.clip(0.0, 1.0)  # a score may pass its bound by a rounding


def descending(scores: NDArray[np.float32]) -> list[int]:
    """Return the places of the scores, the highest first; equal ones keep their order."""
    places: list[int] = np.argsort(-scores, kind="stable").tolist()
    return places
