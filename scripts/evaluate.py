"""Measure a checkpoint on a data set."""

import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from simlstm.data.formats import read_pairs
from simlstm.evaluation.evaluate import evaluate_model
from simlstm.evaluation.overlap import count_overlap
from simlstm.evaluation.precision import Precision, arithmetic
from simlstm.models.similarity import SimilarityModel


def main(
    model: Annotated[Path, typer.Option(help="Checkpoint folder.")],
    data: Annotated[str, typer.Option(help="Pairs with scores or 0/1 labels: a file, or demo:test.")],
    format: Annotated[str, typer.Option(help="Format of --data and --train.")] = "auto",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results here, too.")] = None,
    train: Annotated[list[str] | None, typer.Option(help="Count what --data shares with this source; repeat.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Sentences encoded at once.")] = 256,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, or auto.")] = "auto",
    dtype: Annotated[Precision, typer.Option(help="Arithmetic of the encoder.")] = Precision.float32,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of one operation.")] = None,
) -> None:
    """Measure the pair head's score and the plain cosine; the checkpoint's own threshold decides about matches."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        if json_file is not None:  # first: a path that cannot be made costs no evaluation
            json_file.parent.mkdir(parents=True, exist_ok=True)
        loaded = SimilarityModel.from_pretrained(model, device=device)
        pairs = read_pairs(data, format=format)
        with arithmetic(loaded.device, dtype):
            metrics = evaluate_model(loaded, pairs, batch_size=batch_size)
        overlap = count_overlap(pairs, [read_pairs(source, format=format) for source in train]) if train else None
    except (ValueError, ImportError, OSError, RuntimeError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        raise typer.Exit(1) from None

    table = Table(title=f"{loaded.name} on {pairs.name}, {len(pairs):,} pairs")
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in metrics.items():
        table.add_row(name, f"{value:.4f}")
    console = Console()
    console.print(table)
    report: dict[str, Any] = {
        "model": {"name": loaded.name, "fingerprint": loaded.fingerprint, "threshold": loaded.threshold},
        "data": {"name": pairs.name, "pairs": len(pairs), "kind": pairs.kind, "sha256": pairs.sha256},
        "dtype": dtype.value,
        "metrics": metrics,
    }
    fitted = loaded.calibration.fitted_on if loaded.calibration else None
    if not loaded.is_graded and fitted is not None:
        console.print(f"threshold {loaded.threshold:.4f}, fitted on {fitted.name}")
        if fitted.sha256 == pairs.sha256:
            console.print("[bold]the threshold was fitted on these very data: accuracy and F1 are optimistic[/bold]")
    if overlap is not None:
        console.print(
            f"also in training: {overlap.sentences:,} of {overlap.all_sentences:,} sentences, "
            f"{overlap.pairs:,} of {overlap.all_pairs:,} pairs"
        )
        report["train_overlap"] = asdict(overlap)
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
