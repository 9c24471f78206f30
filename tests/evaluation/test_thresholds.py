"""The threshold against a search over every cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from simlstm.evaluation.thresholds import fit_threshold


def _result(metric, labels, matches):
    match metric:
        case "accuracy":
            return accuracy_score(labels, matches)
        case "f1":
            return f1_score(labels, matches, zero_division=0)
        case "balanced_accuracy":
            return balanced_accuracy_score(labels, matches)


rows = st.lists(
    st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, -1.0]), st.integers(0, 1)), min_size=2, max_size=30
)


@given(rows=rows, metric=st.sampled_from(["accuracy", "f1", "balanced_accuracy"]))
def test_it_finds_the_best_cut_between_distinct_scores(rows, metric):
    scores = np.array([row[0] for row in rows], dtype=np.float32)
    labels = np.array([row[1] for row in rows])
    if metric == "balanced_accuracy" and len(set(labels)) < 2:
        return  # scikit-learn's own definition differs there
    cuts = [*np.unique(scores), np.float32(2)]
    best = max(_result(metric, labels, scores >= cut) for cut in cuts)
    fitted = fit_threshold(scores, labels, metric)
    assert fitted.result == pytest.approx(best)
    assert _result(metric, labels, scores >= fitted.value) == pytest.approx(fitted.result)


@pytest.mark.parametrize("labels", [[1, 1, 1, 0], [0, 1, 0, 0]])
def test_a_constant_scorer_reaches_the_majority_and_no_more(labels):
    fitted = fit_threshold([0.5] * 4, labels, "accuracy")
    assert fitted.result == 0.75
    assert (fitted.value <= 0.5) == (sum(labels) == 3)


def test_the_cut_lies_in_the_middle_of_the_widest_gap():
    assert fit_threshold([0.0, 0.2, 0.8, 1.0], [0, 0, 1, 1]).value == pytest.approx(0.5)
    # Cutting above 0.1 and above 0.6 are equally good; the second gap is wider.
    assert fit_threshold([0.0, 0.1, 0.6, 1.0], [0, 1, 0, 1]).value == pytest.approx(0.8)


def test_neighbouring_float32_scores_are_still_told_apart():
    lower = np.float32(0.5)
    upper = np.nextafter(lower, np.float32(1))
    scores = np.array([lower, upper], dtype=np.float32)
    fitted = fit_threshold(scores, [0, 1])
    assert (scores >= np.float32(fitted.value)).tolist() == [False, True]


@pytest.mark.parametrize(
    ("scores", "labels", "metric", "message"),
    [
        ([0.1], [2], "f1", "allowed: 0 and 1"),
        ([0.1], [1], "recall", "metric: got 'recall'; allowed: accuracy, f1, balanced_accuracy"),
        ([], [], "f1", "not empty"),
        ([float("inf")], [1], "f1", "finite"),
    ],
)
def test_mistakes_are_named(scores, labels, metric, message):
    with pytest.raises(ValueError, match=message):
        fit_threshold(scores, labels, metric)
