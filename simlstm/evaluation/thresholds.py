"""Fit the score at which a pair becomes a match."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simlstm.evaluation.metrics import require_binary

ThresholdMetric = Literal["accuracy", "f1", "balanced_accuracy"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A cut: scores at or above `value` are matches; `result` is the metric on the data it was fitted on."""

    value: float
    metric: ThresholdMetric
    result: float


def fit_threshold(scores: ArrayLike, labels: ArrayLike, metric: ThresholdMetric = "accuracy") -> Threshold:
    """Find the threshold that makes a metric largest, cutting only between distinct scores.

    Equal scores always fall on one side, so a constant scorer reaches the majority share and no more. Among equally
    good cuts the one in the widest gap is taken. `result` is optimistic: report the metric on other data.

    Args:
        scores: [P], higher is more similar.
        labels: [P], 0 or 1.
        metric: What to make largest.

    Raises:
        ValueError: For another metric, labels other than 0 and 1, no rows, or scores that are not finite.
    """
    if metric not in get_args(ThresholdMetric):
        raise ValueError(f"metric: got {metric!r}; allowed: {', '.join(get_args(ThresholdMetric))}")
    values = np.asarray(scores, dtype=np.float64)
    gold = np.asarray(labels, dtype=np.float64)
    if values.ndim != 1 or values.shape != gold.shape or not len(values):
        raise ValueError(
            f"scores and labels: got shapes {values.shape} and {gold.shape}; allowed: two equal vectors, not empty"
        )
    if not np.isfinite(values).all():
        raise ValueError("scores: allowed: finite numbers")
    require_binary(gold)

    distinct, position = np.unique(values, return_inverse=True)  # ascending
    rows = np.bincount(position).astype(np.float64)
    positives = np.bincount(position, weights=gold)
    # Cut k makes the distinct scores from k on matches; k = 0 is everything, k = len(distinct) nothing.
    true_positives = np.append(np.cumsum(positives[::-1])[::-1], 0.0)
    matches = np.append(np.cumsum(rows[::-1])[::-1], 0.0)
    results = _at_each_cut(metric, true_positives, matches, total=float(len(gold)), positives=float(gold.sum()))
    gaps = np.concatenate([[0.0], np.diff(distinct), [0.0]])
    best = np.flatnonzero(np.isclose(results, results.max(), rtol=0, atol=1e-12))
    cut = int(best[np.argmax(gaps[best])])
    return Threshold(value=_between(distinct, cut), metric=metric, result=float(results[cut]))


def _at_each_cut(
    metric: ThresholdMetric,
    true_positives: NDArray[np.float64],
    matches: NDArray[np.float64],
    *,
    total: float,
    positives: float,
) -> NDArray[np.float64]:
    """Return the metric for every cut; a ratio without cases is 0."""
    negatives = total - positives
    true_negatives = negatives - (matches - true_positives)
    match metric:
        case "accuracy":
            return (true_positives + true_negatives) / total
        case "f1":
            denominator = matches + positives
            return 2 * true_positives / np.where(denominator > 0, denominator, 1.0)
        case "balanced_accuracy":
            sensitivity = true_positives / max(positives, 1.0)
            specificity = true_negatives / max(negatives, 1.0)
            return (sensitivity + specificity) / 2


def _between(distinct: NDArray[np.float64], cut: int) -> float:
    """Return a threshold below distinct[cut] and above distinct[cut - 1], also after rounding to float32."""
    if cut == 0:
        return float(distinct[0])
    if cut == len(distinct):
        return float(np.nextafter(np.float32(distinct[-1]), np.float32(np.inf)))
    middle = float(np.float32((distinct[cut - 1] + distinct[cut]) / 2))
    # Scores are float32: halfway between two neighbours there is no third number, and the upper one is the cut.
    return middle if distinct[cut - 1] < middle <= distinct[cut] else float(distinct[cut])
