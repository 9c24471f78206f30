"""Metrics of scores against gold values, by scipy and scikit-learn; every degenerate input has a defined result."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn import metrics as sklearn_metrics


def pearson(scores: ArrayLike, targets: ArrayLike) -> float:
    """Return Pearson's correlation; 0 when either side is constant, since nothing is then known about the other."""
    first, second = _aligned(scores, targets)
    if _is_constant(first) or _is_constant(second):
        return 0.0
    return float(stats.pearsonr(first, second).statistic)


def spearman(scores: ArrayLike, targets: ArrayLike) -> float:
    """Return Spearman's rank correlation with average ranks for ties; 0 when either side is constant."""
    first, second = _aligned(scores, targets)
    return pearson(stats.rankdata(first), stats.rankdata(second))


def graded_metrics(
    scores: ArrayLike, targets: ArrayLike, *, score_range: tuple[float, float] = (0.0, 1.0)
) -> dict[str, float]:
    """Measure graded similarity.

    Args:
        scores: [P], higher is more similar, compared with the targets on [0, 1].
        targets: [P] gold scores scaled to [0, 1].
        score_range: The published range; ``mse_published`` is the error on that scale, as in the papers.

    Returns:
        ``spearman``, ``pearson``, ``mse``, ``mse_published``.
    """
    first, second = _aligned(scores, targets)
    mse = float(np.mean(np.square(first - second)))
    width = score_range[1] - score_range[0]
    return {
        "spearman": spearman(first, second),
        "pearson": pearson(first, second),
        "mse": mse,
        "mse_published": mse * width**2,
    }


def binary_metrics(scores: ArrayLike, labels: ArrayLike, *, threshold: float | None = None) -> dict[str, float]:
    """Measure 0/1 labels.

    Ties are cut only between distinct scores, so a constant scorer gets chance: an area of one half, an average
    precision equal to the prevalence. With labels of one class only, the two ranking metrics are left out.

    Args:
        scores: [P], higher is more similar.
        labels: [P], 0 or 1.
        threshold: The score at and above which a pair counts as a match. It must come from other data. None leaves
            accuracy, F1, precision and recall out.

    Returns:
        ``prevalence``, ``roc_auc``, ``average_precision``, and with a threshold ``accuracy``, ``f1``, ``precision``,
        ``recall``.
    """
    values, gold = _aligned(scores, labels)
    require_binary(gold)
    measured = {"prevalence": float(gold.mean())}
    if not _is_constant(gold):
        measured["roc_auc"] = float(sklearn_metrics.roc_auc_score(gold, values))
        measured["average_precision"] = float(sklearn_metrics.average_precision_score(gold, values))
    if threshold is not None:
        measured.update(match_metrics(values >= threshold, gold))
    return measured


def match_metrics(matches: Sequence[bool] | NDArray[np.bool_], labels: ArrayLike) -> dict[str, float]:
    """Return accuracy, F1, precision and recall of yes/no decisions; a ratio without cases is 0."""
    predicted, gold = _aligned(np.asarray(matches, dtype=np.float64), labels)
    return {
        "accuracy": float(sklearn_metrics.accuracy_score(gold, predicted)),
        "f1": float(sklearn_metrics.f1_score(gold, predicted, zero_division=0)),
        "precision": float(sklearn_metrics.precision_score(gold, predicted, zero_division=0)),
        "recall": float(sklearn_metrics.recall_score(gold, predicted, zero_division=0)),
    }


def require_binary(labels: NDArray[np.float64]) -> None:
    """Refuse labels that are not 0 or 1.

    Raises:
        ValueError: Naming the first other value and its row.
    """
    other = np.flatnonzero((labels != 0) & (labels != 1))
    if len(other):
        raise ValueError(f"labels: row {other[0]} is {labels[other[0]]:g}; allowed: 0 and 1")


def _aligned(scores: ArrayLike, targets: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both sides as float64 vectors of one length, finite, with at least one row."""
    first = np.asarray(scores, dtype=np.float64)
    second = np.asarray(targets, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise ValueError(
            f"scores and targets: got shapes {first.shape} and {second.shape}; "
            "allowed: two vectors of one length, not empty"
        )
    for name, side in (("scores", first), ("targets", second)):
        bad = np.flatnonzero(~np.isfinite(side))
        if len(bad):
            raise ValueError(f"{name}: row {bad[0]} is {side[bad[0]]}; allowed: finite numbers")
    return first, second


def _is_constant(values: NDArray[np.float64]) -> bool:
    return bool(np.all(values == values[0]))
