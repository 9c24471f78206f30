"""Measuring a model: both uses of its vectors, and what is honest about thresholds."""

import numpy as np
import pytest

from simlstm.evaluation import metrics
from simlstm.evaluation.evaluate import calibrate_model, evaluate_model, score_pairs
from simlstm.evaluation.overlap import count_overlap


def test_scores_and_cosines_are_the_models_own(model, pairs):
    data = pairs()
    scores, cosines = score_pairs(model, data)
    assert scores == pytest.approx(model.score(data.sentences1, data.sentences2), abs=1e-6)
    first, second = model.encode(data.sentences1), model.encode(data.sentences2)
    expected = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    assert cosines == pytest.approx(expected, abs=1e-5)


def test_graded_data(model, pairs):
    data = pairs()
    measured = evaluate_model(model, data)
    scores, cosines = score_pairs(model, data)
    targets = np.array(data.targets) / 5
    assert measured["spearman"] == metrics.spearman(scores, targets)
    assert measured["mse_published"] == pytest.approx(25 * measured["mse"])
    assert measured["cosine_pearson"] == metrics.pearson(cosines, targets)


def test_labels_without_and_with_the_models_threshold(model, pairs):
    data = pairs("binary")
    assert "accuracy" not in evaluate_model(model, data)
    model.calibration = calibrate_model(model, data)
    measured = evaluate_model(model, data)
    scores, _ = score_pairs(model, data)
    labels = np.array(data.targets)
    assert measured["accuracy"] == pytest.approx(((scores >= model.threshold) == labels).mean())
    assert measured["optimistic_accuracy"] == pytest.approx(measured["accuracy"])  # fitted on these very data
    assert measured["optimistic_f1"] >= measured["f1"]
    assert measured["cosine_roc_auc"] > 0.5  # a sentence is most similar to itself


def test_the_calibration_says_what_it_was_fitted_on(model, pairs):
    data = pairs()
    calibration = calibrate_model(model, data, positive_from=0.9, threshold_metric="f1")
    assert calibration.fitted_on.model_dump() == {"name": data.name, "rows": len(data), "sha256": data.sha256}
    assert calibration.positive_from == 0.9


def test_paraphrases_alone_measure_nothing(model, pairs):
    with pytest.raises(ValueError, match="holds paraphrases only; allowed: graded scores or 0/1 labels"):
        evaluate_model(model, pairs("positive"))


def test_overlap_counts_sentences_and_pairs_in_either_order(pairs):
    data = pairs(rows=3)  # guitar-guitar, guitar-eats, guitar-tea
    train = pairs(rows=3)
    object.__setattr__(train, "sentences1", ["A man  EATS", "x", "ｔｅａ"])
    object.__setattr__(train, "sentences2", ["a man plays the guitar", "y", "z"])
    overlap = count_overlap(data, [train])
    assert (overlap.sentences, overlap.all_sentences, overlap.pairs, overlap.all_pairs) == (3, 3, 1, 3)
    assert count_overlap(data, []).sentences == 0
