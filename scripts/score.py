"""Add a similarity column to a file of pairs."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from simlstm.evaluation.scoring import score_file
from simlstm.models.similarity import SimilarityModel
from simlstm.rnn.frozen import Precision


def main(
    model: Annotated[str, typer.Option(help="Checkpoint folder, or the name of a shipped checkpoint.")],
    source: Annotated[Path, typer.Option("--input", help="CSV, TSV, JSON lines or Parquet; named columns.")],
    target: Annotated[Path, typer.Option("--output", help="The same kinds, told by the extension.")],
    sentence1: Annotated[str | None, typer.Option(help="Column of the first sentence.")] = None,
    sentence2: Annotated[str | None, typer.Option(help="Column of the second sentence.")] = None,
    prefix: Annotated[str, typer.Option(help="Goes before the names of the added columns.")] = "",
    batch_size: Annotated[int, typer.Option(min=1, help="Sentences encoded at once.")] = 256,
    chunk_size: Annotated[int, typer.Option(min=1, help="Rows in memory at once.")] = 8192,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, or auto.")] = "auto",
    dtype: Annotated[
        Precision | None,
        typer.Option(help="Arithmetic of the encoder; int8 on the CPU only. Default: bfloat16 on CUDA, else float32."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of one operation.")] = None,
) -> None:
    """Copy pairs and add score, probability, is_match and truncated; the output appears only when it is whole."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    if threads is not None:
        torch.set_num_threads(threads)
    console = Console(stderr=True)
    shown = TextColumn("{task.completed:,.0f} rows"), TextColumn("{task.speed} rows/s")
    try:
        loaded = SimilarityModel.from_pretrained(model, device=device, dtype=dtype)
        bar = Progress(SpinnerColumn(), *shown, console=console, disable=not console.is_terminal)
        with bar as progress:
            task = progress.add_task("", total=None)
            summary = score_file(
                loaded,
                source,
                target,
                sentence1=sentence1,
                sentence2=sentence2,
                prefix=prefix,
                chunk_size=chunk_size,
                batch_size=batch_size,
                advance=lambda rows: progress.advance(task, rows),
            )
    except (ValueError, ImportError, OSError, RuntimeError) as error:
        print(f"score: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    cut = f", {summary.truncated:,} with a sentence cut at {loaded.max_tokens} tokens" if summary.truncated else ""
    print(f"{target}: {summary.rows:,} pairs scored{cut}")


if __name__ == "__main__":
    typer.run(main)
