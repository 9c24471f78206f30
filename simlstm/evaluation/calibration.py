"""Fit the calibration of a checkpoint: probabilities by Platt's or the isotonic method, and a threshold."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from simlstm.evaluation.thresholds import ThresholdMetric, fit_threshold
from simlstm.models.calibration import Calibration, FittedOn, IsotonicParameters, PlattParameters

ISOTONIC_MINIMUM = 1_000
# Stands for "no penalty": scikit-learn's own switch for it changes its name between versions.
_NO_PENALTY = 1e10


def fit_calibration(
    scores: ArrayLike,
    targets: ArrayLike,
    *,
    fitted_on: FittedOn,
    method: Literal["platt", "isotonic"] = "platt",
    threshold_metric: ThresholdMetric = "accuracy",
    positive_from: float = 0.5,
) -> Calibration:
    """Fit probabilities and a threshold; on dev, never on what is reported.

    Args:
        scores: [P] scores of the pair head, higher is more similar.
        targets: [P] gold values scaled to [0, 1].
        fitted_on: Which data these are.
        method: ``platt`` is a logistic curve with Platt's smoothed targets (Platt 1999, section 2.2), which stay
            finite where the classes are separable; ``isotonic`` needs many points, and has the same targets, so that no
            probability is 0 or 1.
        threshold_metric: What the threshold makes largest.
        positive_from: The target from which a pair counts as positive; 0/1 labels are the same for every value.

    Raises:
        ValueError: With one class only, too few points for isotonic, or unequal lengths.
    """
    values = np.asarray(scores, dtype=np.float64)
    gold = np.asarray(targets, dtype=np.float64)
    if values.shape != gold.shape or values.ndim != 1:
        raise ValueError(f"scores and targets: got shapes {values.shape} and {gold.shape}; allowed: two equal vectors")
    labels = (gold >= positive_from).astype(np.float64)
    positives = int(labels.sum())
    if positives in (0, len(labels)):
        raise ValueError(
            f"targets: {positives} of {len(labels)} are {positive_from:g} or more; calibration needs pairs on both "
            "sides of positive_from"
        )
    if method == "isotonic" and len(values) < ISOTONIC_MINIMUM:
        raise ValueError(
            f"method: isotonic needs {ISOTONIC_MINIMUM} pairs or more to be better than platt, got {len(values)}"
        )
    threshold = fit_threshold(values, labels, threshold_metric)
    return Calibration(
        method=method,
        parameters=fit_curve(values, labels, method),
        threshold=threshold.value,
        threshold_metric=threshold_metric,
        positive_from=positive_from,
        fitted_on=fitted_on,
    )


def fit_curve(
    scores: NDArray[np.float64], labels: NDArray[np.float64], method: Literal["platt", "isotonic"]
) -> PlattParameters | IsotonicParameters:
    """Fit the curve from scores to probabilities alone.

    Args:
        scores: [P].
        labels: [P], 0 or 1, both of them among them.
        method: As in `fit_calibration`.
    """
    return _platt(scores, labels) if method == "platt" else _isotonic(scores, labels)


def _platt(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> PlattParameters:
    """Fit slope and intercept of a logistic curve, by scikit-learn."""
    target = _soft(labels)
    # A soft target is the same row twice, as a positive and as a negative, with weights. The scores are brought to
    # mean 0 and deviation 1 first, so that the solver's tolerance means the same for every head.
    center, spread = scores.mean(), scores.std() or 1.0
    rows = np.concatenate([scores, scores])[:, None]
    regression = LogisticRegression(C=_NO_PENALTY, tol=1e-8, max_iter=1_000)
    regression.fit(
        (rows - center) / spread,
        np.repeat([1, 0], len(scores)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    slope = float(regression.coef_[0, 0]) / spread
    return PlattParameters(slope=slope, intercept=float(regression.intercept_[0]) - slope * center)


def _isotonic(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> IsotonicParameters:
    """Fit a curve that never falls, by scikit-learn (Zadrozny and Elkan 2002); no pair is certain of its class."""
    regression = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(scores, _soft(labels))
    return IsotonicParameters(
        scores=tuple(regression.X_thresholds_.tolist()),
        probabilities=tuple(np.maximum.accumulate(np.clip(regression.y_thresholds_, 0, 1)).tolist()),
    )


def _soft(labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Platt's targets: each class as sure as its number of pairs, [P], makes one."""
    positives = float(labels.sum())
    sure = np.array([1 / (len(labels) - positives + 2), (positives + 1) / (positives + 2)])
    return sure[labels.astype(np.int64)]
