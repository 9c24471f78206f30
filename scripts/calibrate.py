"""Fit a checkpoint's probabilities and threshold again, on data of your own."""

import logging
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import torch
import typer

from scripts.evaluate import columns_of
from simlstm.data.formats import read_pairs
from simlstm.evaluation.evaluate import calibrate_model, calibration_error
from simlstm.models.checkpoint import read_checkpoint, write_checkpoint
from simlstm.models.shipped import FOLDER, checkpoint_folder
from simlstm.models.similarity import SimilarityModel
from simlstm.training.provenance import command_line


class Method(StrEnum):
    """How scores become probabilities."""

    platt = "platt"
    isotonic = "isotonic"


class ThresholdMetric(StrEnum):
    """What the threshold makes largest."""

    accuracy = "accuracy"
    f1 = "f1"
    balanced_accuracy = "balanced_accuracy"


def main(
    model: Annotated[
        str, typer.Option(help="Checkpoint folder, rewritten unless --out names another; a shipped one needs --out.")
    ],
    data: Annotated[str, typer.Option(help="Pairs with scores or 0/1 labels, like those to come: a file.")],
    out: Annotated[Path | None, typer.Option(help="Write the checkpoint here instead.")] = None,
    method: Annotated[Method, typer.Option(help="isotonic needs 1,000 pairs or more.")] = Method.platt,
    folds: Annotated[int, typer.Option(min=2, help="Each is measured by a curve fitted on the others.")] = 5,
    threshold_metric: Annotated[
        ThresholdMetric, typer.Option(help="What the threshold makes largest.")
    ] = ThresholdMetric.accuracy,
    positive_from: Annotated[float, typer.Option(help="Gold score, scaled to [0, 1], of a similar pair.")] = 0.5,
    format: Annotated[str, typer.Option(help="Format of --data.")] = "auto",
    sentence1: Annotated[str | None, typer.Option(help="Column of sentence 1: its name, or position from 0.")] = None,
    sentence2: Annotated[str | None, typer.Option(help="Column of sentence 2.")] = None,
    target: Annotated[str | None, typer.Option(help="Column of the score or label.")] = None,
    score_range: Annotated[tuple[float, float] | None, typer.Option(help="Lowest and highest score.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Sentences encoded at once.")] = 256,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of one operation.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure only, and write nothing.")] = False,
) -> None:
    """Fit the calibration on all of --data, and say how far off it is on pairs that it was not fitted on.

    Weights keep the form they are stored in. Don't report accuracy or F1 on the same data afterwards.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        folder = checkpoint_folder(model)
        if folder.parent == FOLDER and out is None and not dry_run:
            raise ValueError(f"--model: {model} is shipped and is not rewritten; name another folder by --out")
        loaded = SimilarityModel.from_pretrained(folder, device="cpu", dtype="float32")
        columns = columns_of(sentence1, sentence2, target)
        pairs = read_pairs(data, format=format, columns=columns, score_range=score_range)
        fitted = calibrate_model(
            loaded,
            pairs,
            method=method.value,
            threshold_metric=threshold_metric.value,
            positive_from=positive_from,
            batch_size=batch_size,
        )
        error = calibration_error(
            loaded,
            pairs,
            method=method.value,
            positive_from=positive_from,
            threshold_metric=threshold_metric.value,
            folds=folds,
            batch_size=batch_size,
        )
        if not dry_run:
            stored = read_checkpoint(folder)
            # What `simlstm pack` measured holds for the threshold and the probabilities that were there.
            is_packed = "packed" in stored.provenance
            before = {"metrics_before_calibration": stored.metrics} if is_packed else {}
            metrics = {
                **({} if is_packed else stored.metrics),
                "calibration_and_threshold_fitted_on": fitted.fitted_on.model_dump(),
                "calibration_error": error,
            }
            provenance = {**stored.provenance, **before, "calibrated_by": command_line()}
            changed = replace(stored, calibration=fitted, metrics=metrics, provenance=provenance, card=None)
            write_checkpoint(out or folder, changed)
    except (ValueError, ImportError, OSError, RuntimeError) as problem:
        print(f"calibrate: {problem}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"{method.value} on {len(pairs):,} pairs of {pairs.name}; threshold {fitted.threshold:.4f}")
    if error is None:
        print(f"expected calibration error: not measured, as a class has fewer than {folds} pairs")
        return
    print(
        f"expected calibration error, {folds} folds, {error['bins']} bins: {error['equal_mass']:.4f} of equal mass, "
        f"{error['equal_width']:.4f} of equal width"
    )
    print(f"at the other folds' threshold: accuracy {error['accuracy']:.4f}, F1 {error['f1']:.4f}")


if __name__ == "__main__":
    typer.run(main)
