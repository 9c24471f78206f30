"""Make a checkpoint small, and measure what remains: no figure of a packed checkpoint is one of the weights before."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from simlstm.data.pairs import PairData
from simlstm.evaluation.crossfit import cross_fitted_error
from simlstm.evaluation.evaluate import evaluate_model, score_pairs
from simlstm.evaluation.reliability import expected_calibration_error
from simlstm.evaluation.thresholds import ThresholdMetric
from simlstm.models.card_facts import CardFacts
from simlstm.models.checkpoint import Checkpoint, write_checkpoint
from simlstm.models.similarity import SimilarityModel
from simlstm.models.storage import Storage

_FOLDS = 5


def pack_checkpoint(
    model: SimilarityModel,
    out: str | Path,
    *,
    storage: Storage,
    measured_on: Mapping[str, PairData],
    facts: CardFacts | None = None,
    command: str | None = None,
) -> SimilarityModel:
    """Write a checkpoint with rounded weights, a card, and what these weights do on data.

    The metrics of the training run, which are of other weights, move into the provenance. The calibration stays: what
    rounding moves a score by is far below what it was fitted on differs by, and the calibration error that is measured
    here is that of the rounded weights.

    Args:
        model: What to pack; float32 weights, on any device.
        out: Folder of the packed checkpoint; a checkpoint in it is replaced as one.
        storage: What to round to.
        measured_on: Labelled or graded pairs, by the name that the card gives them.
        facts: What the card says beyond that.
        command: The command that packs, for the provenance.

    Returns:
        The packed checkpoint, as it was read back.

    Raises:
        ValueError: For data without labels; and as ``write_checkpoint`` and ``evaluate_model`` do.
        OSError: If the disk refuses.
    """
    state = {name: tensor.to("cpu") for name, tensor in model.model.state_dict().items()}
    whole = Checkpoint(
        config=model.config, state=state, tokenizer=model.tokenizer, calibration=model.calibration, storage=storage
    )
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(folder, whole)
        rounded = SimilarityModel.from_pretrained(Path(folder), device="cpu")
    rounded.metrics = {name: _measure(rounded, data) for name, data in measured_on.items()}
    rounded.provenance = model.provenance | {
        "packed": {
            "storage": storage,
            "command": command,
            "from": model.fingerprint,
            "metrics_before": model.metrics,
            "measured_on": {
                name: {"name": data.name, "pairs": len(data), "sha256": data.sha256}
                for name, data in measured_on.items()
            },
        }
    }
    if facts is not None:
        rounded.provenance["card"] = facts.model_dump(mode="json")
    rounded.save_pretrained(out, storage=storage)
    return SimilarityModel.from_pretrained(Path(out), device="cpu")


def _measure(model: SimilarityModel, data: PairData) -> dict[str, Any]:
    """Measure the pair head, the plain cosine, and whether probabilities are kept.

    On the data that the calibration was fitted on, each fold is told by a curve that was fitted on the others.
    """
    metrics: dict[str, Any] = {"pairs": len(data), **evaluate_model(model, data)}
    calibration = model.calibration
    if calibration is None:
        return metrics
    scores, _ = score_pairs(model, data)
    targets = np.array(data.scaled_targets())
    if data.sha256 != calibration.fitted_on.sha256:
        labels = (targets >= calibration.positive_from).astype(np.float64)
        metrics["expected_calibration_error"] = expected_calibration_error(model.probability_of(scores), labels)
        return metrics
    error = cross_fitted_error(
        scores,
        targets,
        method=calibration.method,
        positive_from=calibration.positive_from,
        threshold_metric=cast(ThresholdMetric, calibration.threshold_metric),
        folds=_FOLDS,
    )
    if error is not None:
        metrics["expected_calibration_error_cross_fitted"] = error.equal_width
        if data.kind == "binary":
            metrics |= {"cross_fitted_accuracy": error.accuracy, "cross_fitted_f1": error.f1}
    return metrics
