"""The end of a run: the best weights, a mean or mixture of them, measured and written as a checkpoint."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from simlstm.data.pairs import PairData
from simlstm.models.calibration import Calibration
from simlstm.models.similarity import SimilarityModel
from simlstm.training.build import Start
from simlstm.training.folder import RunFolder
from simlstm.training.loop import LOWER_IS_BETTER, Trainer
from simlstm.training.provenance import command_line, describe_data, describe_software

Evaluate = Callable[[SimilarityModel, PairData], Mapping[str, float]]
Calibrate = Callable[[SimilarityModel, PairData], Calibration]
CalibrationError = Callable[[SimilarityModel, PairData], Mapping[str, Any] | None]


def finish_run(
    folder: RunFolder,
    trainer: Trainer,
    start: Start,
    dev: PairData,
    description: Mapping[str, Any],
    *,
    evaluate: Evaluate,
    calibrate: Calibrate | None = None,
    calibration_error: CalibrationError | None = None,
    overlap: Mapping[str, Mapping[str, int]] | None = None,
) -> dict[str, Any]:
    """Load the best weights, measure and calibrate them on dev, and write the checkpoint.

    Args:
        folder: Of the run.
        trainer: That has run to the end.
        start: What it started from.
        dev: What decides.
        description: What ``state/run.json`` says.
        evaluate: Measures a model on dev.
        calibrate: Fits probabilities and a threshold on dev; None leaves them out.
        calibration_error: Measures how far probabilities are off; None leaves it out.
        overlap: What dev and other files share with training, to be recorded.

    Returns:
        What ``metrics.json`` says.
    """
    progress = trainer.progress
    if progress.best_step is None:
        raise RuntimeError("a run ends with an evaluation, so there is a best step")

    def with_weights(weights: Mapping[str, Tensor]) -> SimilarityModel:
        trainer.result.load_state_dict(weights)
        return SimilarityModel(trainer.result, start.tokenizer, config=start.config, name=folder.path.resolve().name)

    weights = folder.state.load_best(progress.best_step)
    # Measured before there is a threshold: at one fitted on dev, dev would flatter.
    measured = dict(evaluate(with_weights(weights), dev))
    compared: dict[str, dict[str, Any]] = {}

    def offer(other: dict[str, Tensor]) -> tuple[float, float, bool]:
        """Take other weights where dev says that they are better; return their value, the one before, and which."""
        nonlocal weights, measured
        of_other = dict(evaluate(with_weights(other), dev))
        value, before = of_other[trainer.metric], measured[trainer.metric]
        is_better = value < before if trainer.metric in LOWER_IS_BETTER else value > before
        if is_better:
            weights, measured = other, of_other
        return value, before, is_better

    if len(progress.kept) > 1:
        value, before, taken = offer(mean_of([folder.state.load_best(int(step)) for step in progress.kept]))
        steps = sorted(map(int, progress.kept))
        compared["averaged_checkpoints"] = {"steps": steps, "mean": value, "best": before, "taken": taken}
    if share := trainer.config.training.initial_share:
        value, before, taken = offer(blended(weights, folder.state.load_best(0), share))
        compared["initial_share"] = {"share": share, "with": value, "without": before, "taken": taken}
    model = with_weights(weights)
    metrics: dict[str, Any] = {
        "dev": {**describe_data([dev])[0], **measured},
        "selected_by": trainer.metric,
        "best_step": progress.best_step,
        "best_epoch": (progress.best_step - 1) // trainer.steps_per_epoch + 1,
        "steps": progress.step,
        "stopped_early": progress.stopped,
        "sentences": progress.sentences,
        "sentences_per_second": trainer.sentences_per_second(),
        "train_seconds": progress.train_seconds,
        "wall_seconds": progress.wall_seconds,
    }
    metrics |= compared
    if overlap:
        metrics["overlap"] = dict(overlap)
    if calibrate is not None:
        model.calibration = calibrate(model, dev)
        metrics["calibration_and_threshold_fitted_on"] = model.calibration.fitted_on.model_dump()
        if calibration_error is not None and (error := calibration_error(model, dev)) is not None:
            metrics["calibration_error"] = dict(error)
            if dev.kind == "binary":  # graded pairs are not decided about
                metrics["dev"] |= {f"cross_fitted_{name}": error[name] for name in ("accuracy", "f1")}
    model.metrics = metrics
    model.provenance = {
        "command": command_line(),
        "seed": trainer.config.training.seed,
        "data": description["data"],
        "config": description["config"],
        "notes": start.notes,
        **describe_software(trainer.device),
        "processes": trainer.processes.count,
    }
    model.save_pretrained(folder.path)
    return metrics


def mean_of(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of several state_dicts of one model, each tensor summed in float64.

    Args:
        states: Floating tensors of the same names and shapes; what is no floating tensor is the first one's.
    """
    mean: dict[str, Tensor] = {}
    for name, first in states[0].items():
        if not first.is_floating_point():
            mean[name] = first
            continue
        total = torch.zeros(first.shape, dtype=torch.float64)
        for state in states:
            total += state[name]
        mean[name] = (total / len(states)).to(first.dtype)
    return mean


def blended(trained: Mapping[str, Tensor], initial: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return the trained weights with a share of the initial ones in those of the encoder; a head is as trained.

    Args:
        trained: The state_dict of a pair model.
        initial: Of the same model before training.
        share: Of the initial weights, from 0 to 1.
    """
    return {
        name: tensor.lerp(initial[name], share)
        if tensor.is_floating_point() and name.startswith("encoder.")
        else tensor
        for name, tensor in trained.items()
    }
