"""Measure a model on pairs, and fit its calibration on them."""

from dataclasses import asdict
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from simlstm.data.pairs import PairData
from simlstm.evaluation.calibration import fit_calibration
from simlstm.evaluation.crossfit import cross_fitted_error
from simlstm.evaluation.metrics import binary_metrics, graded_metrics, pearson, spearman
from simlstm.evaluation.thresholds import ThresholdMetric, fit_threshold
from simlstm.models.calibration import Calibration, FittedOn
from simlstm.models.similarity import SimilarityModel


def evaluate_model(model: SimilarityModel, data: PairData, *, batch_size: int = 256) -> dict[str, float]:
    """Measure the pair head's score and the plain cosine of the embeddings.

    Args:
        model: The model; its own threshold, when it has one, decides about matches.
        data: Graded pairs or 0/1 labels.
        batch_size: Sentences encoded at once.

    Returns:
        For graded data the keys of `graded_metrics`, ``cosine_spearman`` and ``cosine_pearson``. For labels the keys
        of `binary_metrics`, ``cosine_roc_auc`` and ``cosine_average_precision``, and as bounds that no honest
        threshold exceeds, ``optimistic_accuracy`` and ``optimistic_f1``, at the best threshold of these very data.

    Raises:
        ValueError: For data without labels, or without rows.
    """
    if data.kind == "positive":
        raise ValueError(f"data: {data.name} holds paraphrases only; allowed: graded scores or 0/1 labels")
    scores, cosines = score_pairs(model, data, batch_size=batch_size)
    targets = np.array(data.scaled_targets())
    if data.kind == "graded":
        measured = graded_metrics(scores, targets, score_range=data.score_range)
        return measured | {"cosine_spearman": spearman(cosines, targets), "cosine_pearson": pearson(cosines, targets)}
    measured = binary_metrics(scores, targets, threshold=model.threshold)
    ranked = binary_metrics(cosines, targets)
    measured |= {f"cosine_{name}": value for name, value in ranked.items() if name != "prevalence"}
    measured["optimistic_accuracy"] = fit_threshold(scores, targets, "accuracy").result
    measured["optimistic_f1"] = fit_threshold(scores, targets, "f1").result
    return measured


def score_pairs(
    model: SimilarityModel, data: PairData, *, batch_size: int = 256
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the pair head's scores and the cosines of the embeddings, both [P] float32, encoding once."""
    embeddings = model.encode([*data.sentences1, *data.sentences2], batch_size=batch_size, convert_to_tensor=True)
    first, second = embeddings[: len(data)], embeddings[len(data) :]
    return model.score_embeddings(first, second), model.similarity_pairwise(first, second).numpy()


def calibrate_model(
    model: SimilarityModel,
    data: PairData,
    *,
    method: Literal["platt", "isotonic"] = "platt",
    threshold_metric: ThresholdMetric = "accuracy",
    positive_from: float = 0.5,
    batch_size: int = 256,
) -> Calibration:
    """Fit a calibration of a model's scores on dev; see `fit_calibration`."""
    scores, _ = score_pairs(model, data, batch_size=batch_size)
    return fit_calibration(
        scores,
        data.scaled_targets(),
        fitted_on=FittedOn(name=data.name, rows=len(data), sha256=data.sha256),
        method=method,
        threshold_metric=threshold_metric,
        positive_from=positive_from,
    )


def calibration_error(
    model: SimilarityModel,
    data: PairData,
    *,
    method: Literal["platt", "isotonic"] = "platt",
    positive_from: float = 0.5,
    threshold_metric: ThresholdMetric = "accuracy",
    folds: int = 5,
    batch_size: int = 256,
) -> dict[str, Any] | None:
    """Measure probabilities and decisions on pairs that they were not fitted on; see `cross_fitted_error`.

    Returns:
        The fields of `CrossFittedError`; None when a class has too few pairs to share out.
    """
    scores, _ = score_pairs(model, data, batch_size=batch_size)
    error = cross_fitted_error(
        scores,
        data.scaled_targets(),
        method=method,
        positive_from=positive_from,
        threshold_metric=threshold_metric,
        folds=folds,
    )
    return None if error is None else asdict(error)
