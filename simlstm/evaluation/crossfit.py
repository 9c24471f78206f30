"""What a calibration is worth on pairs that it was not fitted on, by folds of one data set."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import f1_score

from simlstm.evaluation.calibration import fit_curve
from simlstm.evaluation.reliability import expected_calibration_error
from simlstm.evaluation.thresholds import ThresholdMetric, fit_threshold
from simlstm.models.calibration import Calibration, FittedOn

BINS = 10
_SEED = 0


@dataclass(frozen=True, slots=True)
class CrossFittedError:
    """How far probabilities and decisions are off, each told by what was fitted on the other folds.

    Attributes:
        method: Of the curves.
        folds: How many there were: a fold is told by what the others fitted.
        bins: Of both errors.
        pairs: All of them, each told once.
        equal_width: Expected calibration error over bins of equal width (Naeini et al. 2015).
        equal_mass: The same over bins of as many pairs each (Nguyen and O'Connor 2015), which leaves no bin to a few.
        accuracy: The share of right decisions.
        f1: Of the decisions; 0 when no pair is a true positive.
    """

    method: str
    folds: int
    bins: int
    pairs: int
    equal_width: float
    equal_mass: float
    accuracy: float
    f1: float


def cross_fitted_error(
    scores: ArrayLike,
    targets: ArrayLike,
    *,
    method: Literal["platt", "isotonic"] = "platt",
    positive_from: float = 0.5,
    threshold_metric: ThresholdMetric = "accuracy",
    folds: int = 5,
    bins: int = BINS,
) -> CrossFittedError | None:
    """Measure a method of calibration on one data set, and never on pairs that were fitted.

    The folds hold as many positives and as many negatives each, drawn with a fixed seed.

    Args:
        scores: [P] scores of the pair head.
        targets: [P] gold values scaled to [0, 1].
        method: As in `fit_calibration`.
        positive_from: The target from which a pair counts as positive.
        threshold_metric: What the thresholds make largest.
        folds: 2 and more.
        bins: Of the error.

    Returns:
        The errors of all pairs together; None when a class has fewer pairs than there are folds.

    Raises:
        ValueError: For unequal vectors, or fewer than two folds.
    """
    values = np.asarray(scores, dtype=np.float64)
    gold = np.asarray(targets, dtype=np.float64)
    if values.shape != gold.shape or values.ndim != 1:
        raise ValueError(f"scores and targets: got shapes {values.shape} and {gold.shape}; allowed: two equal vectors")
    if folds < 2:
        raise ValueError(f"folds: got {folds}; allowed: 2 and more")
    labels = (gold >= positive_from).astype(np.float64)
    if min(labels.sum(), len(labels) - labels.sum()) < folds:
        return None
    told, decided = np.empty(len(values)), np.empty(len(values), dtype=bool)
    fold_of = _folds(labels, folds)
    for fold in range(folds):
        held_out = fold_of == fold
        calibration = Calibration(
            method=method,
            parameters=fit_curve(values[~held_out], labels[~held_out], method),
            threshold=fit_threshold(values[~held_out], labels[~held_out], threshold_metric).value,
            threshold_metric=threshold_metric,
            fitted_on=FittedOn(name="other folds", rows=int((~held_out).sum()), sha256=""),
        )
        told[held_out] = calibration.probability(values[held_out])
        decided[held_out] = values[held_out] >= calibration.threshold
    return CrossFittedError(
        method=method,
        folds=folds,
        bins=bins,
        pairs=len(values),
        equal_width=expected_calibration_error(told, labels, bins=bins),
        equal_mass=equal_mass_error(told, labels, bins=bins),
        accuracy=float((decided == labels).mean()),
        f1=float(f1_score(labels, decided, zero_division=0.0)),
    )


def equal_mass_error(probabilities: NDArray[np.float64], labels: NDArray[np.float64], *, bins: int = BINS) -> float:
    """Return the expected calibration error over bins of as many pairs each; pairs of one probability stay together.

    Args:
        probabilities: [P] in [0, 1].
        labels: [P], 0 or 1.
        bins: Number of bins; ties may leave fewer.
    """
    order = np.sort(probabilities)
    # The edge of a bin is the probability where it begins: what is equal falls into one bin.
    edges = np.unique(order[np.arange(1, bins) * len(order) // bins])
    places = np.searchsorted(edges, probabilities, side="right")
    surplus = np.bincount(places, weights=probabilities - labels)
    return float(np.abs(surplus).sum() / len(labels))


def _folds(labels: NDArray[np.float64], folds: int) -> NDArray[np.int64]:
    """Deal each class out to the folds, in random order."""
    generator = np.random.default_rng(_SEED)
    fold_of = np.empty(len(labels), dtype=np.int64)
    for label in (0.0, 1.0):
        rows = generator.permutation(np.flatnonzero(labels == label))
        fold_of[rows] = np.arange(len(rows)) % folds
    return fold_of
