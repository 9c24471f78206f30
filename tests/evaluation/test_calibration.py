"""Calibration against hand-made curves, and where it is refused."""

import numpy as np
import pytest
from scipy.optimize import minimize

from simlstm.evaluation.calibration import fit_calibration
from simlstm.models.calibration import FittedOn

FITTED_ON = FittedOn(name="dev", rows=10, sha256="0" * 64)


def _sample(rows, slope=6.0, center=0.4, seed=0):
    chance = np.random.default_rng(seed)
    scores = chance.uniform(0, 1, rows)
    labels = (chance.uniform(size=rows) < 1 / (1 + np.exp(-slope * (scores - center)))).astype(float)
    return scores.astype(np.float32), labels


def test_platt_minimises_the_cross_entropy_with_smoothed_targets():
    scores, labels = _sample(200)
    positives, negatives = labels.sum(), len(labels) - labels.sum()
    targets = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(parameters):
        argument = parameters[0] * scores.astype(float) + parameters[1]
        return np.sum(np.logaddexp(0, argument) - targets * argument)

    best = minimize(loss, [0.0, 0.0], tol=1e-12).x
    fitted = fit_calibration(scores, labels, fitted_on=FITTED_ON).parameters
    assert [fitted.slope, fitted.intercept] == pytest.approx(best, rel=1e-3)


def test_platt_finds_the_curve_that_the_labels_were_drawn_from():
    scores, labels = _sample(20_000)
    probability = fit_calibration(scores, labels, fitted_on=FITTED_ON).probability([0.1, 0.4, 0.9])
    assert probability == pytest.approx(1 / (1 + np.exp([1.8, 0.0, -3.0])), abs=0.02)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_platt_is_the_same_on_every_scale_of_scores(scale):
    scores, labels = _sample(300)
    reference = fit_calibration(scores, labels, fitted_on=FITTED_ON).probability(scores)
    scaled = fit_calibration(scores * scale, labels, fitted_on=FITTED_ON).probability(scores * scale)
    assert scaled == pytest.approx(reference, abs=1e-4)


def test_platt_stays_finite_where_the_classes_are_separable():
    calibration = fit_calibration([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], fitted_on=FITTED_ON)
    probability = calibration.probability([0.1, 0.9])
    # Platt's targets are (N+ + 1)/(N+ + 2) = 3/4 and 1/(N- + 2) = 1/4.
    assert probability == pytest.approx([0.25, 0.75], abs=0.05)
    assert calibration.threshold == pytest.approx(0.5)


def test_platt_of_a_constant_scorer_is_the_smoothed_prevalence():
    calibration = fit_calibration([0.5] * 8, [1, 1, 1, 1, 1, 1, 0, 0], fitted_on=FITTED_ON)
    assert calibration.probability([0.5])[0] == pytest.approx((6 * 7 / 8 + 2 * 1 / 4) / 8, abs=1e-4)


def test_isotonic_is_a_rising_curve_that_fits_the_sample():
    scores, labels = _sample(5_000)
    calibration = fit_calibration(scores, labels, method="isotonic", fitted_on=FITTED_ON)
    grid = np.linspace(-1, 2, 301)
    probability = calibration.probability(grid)
    assert (np.diff(probability) >= 0).all()
    # No score makes certain: the ends are as sure as Platt's targets.
    positives = labels.sum()
    assert probability.min() >= 1 / (len(labels) - positives + 2)
    assert probability.max() <= (positives + 1) / (positives + 2)
    inner = (grid > 0.05) & (grid < 0.95)
    assert np.abs(probability - 1 / (1 + np.exp(-6 * (grid - 0.4))))[inner].max() < 0.15


def test_isotonic_on_few_points_is_refused():
    scores, labels = _sample(999)
    with pytest.raises(ValueError, match="isotonic needs 1000 pairs or more to be better than platt, got 999"):
        fit_calibration(scores, labels, method="isotonic", fitted_on=FITTED_ON)


def test_graded_targets_count_from_a_score_on():
    scores, targets = [0.1, 0.4, 0.6, 0.9], [0.0, 0.55, 0.6, 1.0]
    calibration = fit_calibration(scores, targets, positive_from=0.6, threshold_metric="f1", fitted_on=FITTED_ON)
    assert calibration.threshold == pytest.approx(0.5)
    assert (calibration.threshold_metric, calibration.positive_from) == ("f1", 0.6)
    assert calibration.fitted_on == FITTED_ON


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([0.6, 0.7], "2 of 2 are 0.5 or more; calibration needs pairs on both sides"),
        ([0.1, 0.2], "0 of 2 are 0.5 or more"),
        ([0.1], "allowed: two equal vectors"),
    ],
)
def test_what_cannot_be_fitted_is_refused(targets, message):
    with pytest.raises(ValueError, match=message):
        fit_calibration([0.1, 0.9], targets, fitted_on=FITTED_ON)
