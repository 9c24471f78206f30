"""Measure speed against the stock layer: interleaved, medians and quartiles, parity checked first."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from scripts.benchmarking import interleave, rnn


class Subject(StrEnum):
    """What can be measured."""

    rnn = "rnn"
    train = "train"


def main(
    subject: Annotated[Subject, typer.Argument(help="rnn: the layer alone. train: whole training steps.")],
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
    config: Annotated[Path, typer.Option(help="train: the experiment to measure.")] = Path("configs/demo.toml"),
    steps: Annotated[int | None, typer.Option(min=2, help="train: measured steps; a whole epoch by default.")] = None,
    hidden_sizes: Annotated[list[int] | None, typer.Option("--hidden", min=1, help="rnn: H; may be repeated.")] = None,
    batches: Annotated[list[int] | None, typer.Option("--batch", min=1, help="rnn: B; may be repeated.")] = None,
    mean_length: Annotated[float, typer.Option(min=1, help="rnn: mean of the gamma-distributed lengths.")] = 12.0,
    turns: Annotated[int, typer.Option(min=2, help="rnn: measured turns of each candidate.")] = 30,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; the experiment's or torch's.")] = None,
) -> None:
    """Compare simlstm.rnn.LSTM with torch.nn.LSTM; a ratio above 1 says that ours is faster."""
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        if subject is Subject.rnn:
            rows = rnn.measure(
                hidden_sizes or [128, 256], batches or [1, 32, 256], mean_length=mean_length, turns=turns
            )
            results: dict[str, Any] = {"mean_length": mean_length, "rows": rows}
            _print_layer(rows)
        else:
            from scripts.benchmarking import train  # what needs the training packages is imported when asked for

            results = train.measure(config, steps=steps, threads=threads)
            _print_training(results)
    except (ValueError, RuntimeError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    if json_out is not None:
        json_out.parent.mkdir(parents=True, exist_ok=True)
        report = {"subject": subject.value, "machine": interleave.machine(), **results}
        json_out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _print_layer(rows: list[dict[str, Any]]) -> None:
    table = Table("H", "B", "mode", "simlstm ms", "torch.nn.LSTM ms", "ratio", title="bidirectional, I=300, float32")
    for row in rows:
        mine, stock = (f"{1e3 * row[name]['median_s']:.2f}" for name in ("simlstm", "torch.nn.LSTM"))
        table.add_row(str(row["hidden_size"]), str(row["batch"]), row["mode"], mine, stock, f"{row['ratio']:.2f}")
    Console().print(table)


def _print_training(results: dict[str, Any]) -> None:
    table = Table("layer", "seconds", "sentences/s", title=f"{results['config']}, {results['steps']} steps")
    for name in ("simlstm", "torch.nn.LSTM"):
        figures = results[name]
        table.add_row(name, f"{figures['seconds']:.1f}", f"{figures['sentences_per_second']:,.0f}")
    Console().print(table)
    Console().print(f"median ratio {results['ratio']:.2f} (above 1: simlstm is faster)")


if __name__ == "__main__":
    typer.run(main)
