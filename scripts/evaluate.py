"""Measure a checkpoint on a data set."""

import json
import logging
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from simlstm.data.formats import read_pairs
from simlstm.data.layouts import Columns
from simlstm.evaluation.evaluate import evaluate_model
from simlstm.evaluation.overlap import count_overlap
from simlstm.models.similarity import SimilarityModel
from simlstm.rnn.frozen import Precision


def main(
    model: Annotated[str, typer.Option(help="Checkpoint folder, or the name of a shipped checkpoint.")],
    data: Annotated[str, typer.Option(help="Pairs with scores or 0/1 labels: a file, or demo:test.")],
    format: Annotated[str, typer.Option(help="Format of --data and --train.")] = "auto",
    sentence1: Annotated[str | None, typer.Option(help="Column of sentence 1: its name, or position from 0.")] = None,
    sentence2: Annotated[str | None, typer.Option(help="Column of sentence 2.")] = None,
    target: Annotated[str | None, typer.Option(help="Column of the score or label.")] = None,
    score_range: Annotated[tuple[float, float] | None, typer.Option(help="Lowest and highest score.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results here, too.")] = None,
    train: Annotated[list[str] | None, typer.Option(help="Count what --data shares with this source; repeat.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Sentences encoded at once.")] = 256,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, or auto.")] = "auto",
    dtype: Annotated[
        Precision | None,
        typer.Option(help="Arithmetic of the encoder; int8 on the CPU only. Default: bfloat16 on CUDA, else float32."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of one operation.")] = None,
) -> None:
    """Measure the pair head's score and the plain cosine; the checkpoint's own threshold decides about matches.

    Files with columns or scores of their own need --sentence1, --sentence2, --target and --score-range; as --format,
    these hold for --data and --train.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        if json_file is not None:  # first: a path that cannot be made costs no evaluation
            json_file.parent.mkdir(parents=True, exist_ok=True)
        loaded = SimilarityModel.from_pretrained(model, device=device, dtype=dtype)
        read = partial(
            read_pairs, format=format, columns=columns_of(sentence1, sentence2, target), score_range=score_range
        )
        pairs = read(data)
        metrics = evaluate_model(loaded, pairs, batch_size=batch_size)
        overlap = count_overlap(pairs, [read(source) for source in train]) if train else None
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
        "dtype": loaded.dtype,
        "backend": loaded.backend,
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


def columns_of(sentence1: str | None, sentence2: str | None, target: str | None) -> Columns | None:
    """Return which column means what; numbers alone are positions, as a header is no row of numbers."""
    given = {"--sentence1": sentence1, "--sentence2": sentence2, "--target": target}
    if all(column is None for column in given.values()):
        return None
    if sentence1 is None or sentence2 is None or target is None:
        missing = ", ".join(option for option, column in given.items() if column is None)
        raise ValueError(f"columns: {missing} did not come; allowed: all three columns, or none")
    if sentence1.isdecimal() and sentence2.isdecimal() and target.isdecimal():
        return Columns(int(sentence1), int(sentence2), int(target))
    return Columns(sentence1, sentence2, target)


if __name__ == "__main__":
    typer.run(main)
