"""The calibration error of pairs that were not fitted."""

import numpy as np
import pytest

from simlstm.evaluation.calibration import fit_curve
from simlstm.evaluation.crossfit import cross_fitted_error, equal_mass_error
from simlstm.evaluation.thresholds import fit_threshold


def _drawn(count, seed=0, slope=4.0):
    """Scores, and labels drawn with the probability of a logistic curve."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=count)
    return scores, (generator.random(count) < 1 / (1 + np.exp(-slope * scores))).astype(float)


def test_equal_mass_bins_by_hand():
    promised = np.array([0.1, 0.2, 0.3, 0.9])
    labels = np.array([0.0, 1.0, 0.0, 1.0])
    # Bins {0.1, 0.2} and {0.3, 0.9}: |0.3 - 1| and |1.2 - 1|, of four pairs.
    assert equal_mass_error(promised, labels, bins=2) == pytest.approx((0.7 + 0.2) / 4)
    assert equal_mass_error(promised, labels, bins=1) == pytest.approx(abs(1.5 - 2) / 4)


def test_pairs_of_one_probability_share_a_bin():
    promised = np.full(10, 0.5)
    labels = np.array([0.0, 1.0] * 5)
    assert equal_mass_error(promised, labels, bins=5) == 0


def test_decisions_are_those_of_the_other_folds_threshold():
    """On 40 pairs of pure chance the best threshold seems to know something, and on others it does not."""
    flattered, honest = [], []
    for seed in range(20):
        generator = np.random.default_rng(seed)
        scores, labels = generator.normal(size=40), np.tile([0.0, 1.0], 20)
        flattered.append(fit_threshold(scores, labels).result)
        honest.append(cross_fitted_error(scores, labels).accuracy)
    assert np.mean(flattered) > 0.58
    assert np.mean(honest) == pytest.approx(0.5, abs=0.05)


def test_f1_asks_for_its_own_threshold():
    scores, labels = _drawn(4_000, slope=1.0)
    rare = np.where(labels == 1, np.random.default_rng(3).random(4_000) < 0.3, 0.0)
    by_accuracy = cross_fitted_error(scores, rare)
    by_f1 = cross_fitted_error(scores, rare, threshold_metric="f1")
    assert by_f1.f1 > by_accuracy.f1 + 0.1
    assert by_f1.accuracy < by_accuracy.accuracy
    assert by_accuracy.accuracy == pytest.approx(1 - rare.mean(), abs=0.02)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_right_curve_is_off_by_chance_alone(method):
    scores, labels = _drawn(20_000)
    error = cross_fitted_error(scores, labels, method=method)
    # Ten bins of 2,000 pairs: 0.4 / sqrt(2000) is 0.009.
    assert error.equal_mass < 0.015
    assert error.equal_width < 0.015
    assert (error.method, error.folds, error.bins, error.pairs) == (method, 5, 10, 20_000)


def test_what_is_fitted_to_its_own_noise_is_found_out():
    """Isotonic on 60 pairs of pure chance: on its own pairs it seems perfect, on others it is not."""
    generator = np.random.default_rng(1)
    scores, labels = generator.normal(size=60), (generator.random(60) < 0.5).astype(float)
    curve = fit_curve(scores, labels, "isotonic")
    flattered = equal_mass_error(np.interp(scores, curve.scores, curve.probabilities), labels)
    honest = cross_fitted_error(scores, labels, method="isotonic").equal_mass
    assert flattered < 0.02
    assert honest > 0.05


def test_a_curve_of_the_wrong_form_is_measured_as_such():
    """Two classes whose odds are no logistic function of the score."""
    generator = np.random.default_rng(2)
    scores = generator.random(8_000)
    labels = (generator.random(8_000) < np.where(scores < 0.5, 0.1, np.where(scores < 0.7, 0.9, 0.5))).astype(float)
    platt = cross_fitted_error(scores, labels, method="platt")
    assert platt.equal_mass > 0.1
    assert platt.equal_width > 0.1


def test_graded_targets_are_cut_and_the_result_is_repeatable():
    scores, labels = _drawn(500)
    graded = np.where(labels == 1, 0.8, 0.3)
    assert cross_fitted_error(scores, graded, positive_from=0.6) == cross_fitted_error(scores, labels)


def test_a_class_too_small_to_share_out_has_no_error():
    scores, labels = np.arange(10.0), np.array([1.0] * 4 + [0.0] * 6)
    assert cross_fitted_error(scores, labels) is None
    assert cross_fitted_error(scores, labels, folds=4).folds == 4


def test_mistakes():
    with pytest.raises(ValueError, match=r"got shapes \(2,\) and \(3,\)"):
        cross_fitted_error([1, 2], [0, 1, 1])
    with pytest.raises(ValueError, match="folds: got 1; allowed: 2 and more"):
        cross_fitted_error([1, 2], [0, 1], folds=1)
