"""Metrics against hand-worked values and slow loops, and their degenerate inputs."""

import numpy as np
import pytest

from simlstm.evaluation import metrics


def _pearson_by_hand(first, second):
    first, second = np.array(first) - np.mean(first), np.array(second) - np.mean(second)
    return float((first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum()))


def test_pearson_and_spearman_by_hand():
    scores, targets = [0.1, 0.4, 0.3, 0.9], [0.0, 1.0, 0.5, 0.5]
    assert metrics.pearson(scores, targets) == pytest.approx(_pearson_by_hand(scores, targets))
    # The two targets of 0.5 share the ranks 2 and 3.
    assert metrics.spearman(scores, targets) == pytest.approx(_pearson_by_hand([1, 3, 2, 4], [1, 4, 2.5, 2.5]))


@pytest.mark.parametrize("scores", [[0.3, 0.3, 0.3], [1.0, 1.0, 1.0]])
def test_a_constant_side_correlates_with_nothing(scores):
    assert metrics.pearson(scores, [0.1, 0.2, 0.9]) == 0
    assert metrics.spearman([0.1, 0.2, 0.9], scores) == 0


def test_graded_metrics_report_the_error_on_both_scales():
    measured = metrics.graded_metrics([0.5, 1.0], [0.25, 1.0], score_range=(1, 5))
    assert measured["mse"] == pytest.approx(0.03125)
    assert measured["mse_published"] == pytest.approx(0.5)  # half of (3 - 2)² on the scale from 1 to 5
    assert measured["pearson"] == pytest.approx(1)
    assert set(measured) == {"spearman", "pearson", "mse", "mse_published"}


def test_auc_counts_ties_as_half():
    scores, labels = [0.9, 0.5, 0.5, 0.1, 0.5], [1, 1, 0, 0, 0]
    wins = sum(
        1.0 if scores[i] > scores[j] else 0.5 if scores[i] == scores[j] else 0.0
        for i in range(5)
        for j in range(5)
        if labels[i] == 1 and labels[j] == 0
    )
    assert metrics.binary_metrics(scores, labels)["roc_auc"] == pytest.approx(wins / 6)


@pytest.mark.parametrize("order", [[1, 1, 1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1, 1, 1]])
def test_a_constant_scorer_gets_chance_in_any_order(order):
    measured = metrics.binary_metrics([0.7] * 10, order, threshold=0.5)
    assert measured == {
        "prevalence": pytest.approx(0.3),
        "roc_auc": 0.5,
        "average_precision": pytest.approx(0.3),
        "accuracy": pytest.approx(0.3),
        "f1": pytest.approx(2 * 0.3 / 1.3),
        "precision": pytest.approx(0.3),
        "recall": 1.0,
    }


def test_the_threshold_itself_is_a_match():
    measured = metrics.binary_metrics([0.4, 0.5, 0.6], [0, 1, 1], threshold=0.5)
    assert measured["accuracy"] == 1
    assert measured["f1"] == 1


def test_no_threshold_no_decisions():
    assert set(metrics.binary_metrics([0.4, 0.5], [0, 1])) == {"prevalence", "roc_auc", "average_precision"}


def test_one_class_leaves_the_ranking_metrics_out():
    measured = metrics.binary_metrics([0.4, 0.5], [1, 1], threshold=0.45)
    assert set(measured) == {"prevalence", "accuracy", "f1", "precision", "recall"}
    assert measured["recall"] == 0.5


def test_ratios_without_cases_are_zero():
    measured = metrics.binary_metrics([0.4, 0.5], [0, 1], threshold=2)
    assert (measured["f1"], measured["precision"], measured["recall"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([0.1, 0.2], [0, 0.5], "row 1 is 0.5; allowed: 0 and 1"),
        ([0.1], [0, 1], "shapes"),
        ([], [], "not empty"),
        ([0.1, float("nan")], [0, 1], "scores: row 1 is nan"),
    ],
)
def test_mistakes_are_named(scores, labels, message):
    with pytest.raises(ValueError, match=message):
        metrics.binary_metrics(scores, labels)
