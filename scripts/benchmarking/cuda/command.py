"""The CUDA half of ``scripts/benchmark.py``: defaults, plans, and a results file that grows as the run goes on."""

from collections.abc import Sequence
from pathlib import Path

from scripts.benchmarking.cuda.accelerator import CudaAccelerator
from scripts.benchmarking.cuda.ceilings import SIZE
from scripts.benchmarking.cuda.layer_plan import LayerPlan
from scripts.benchmarking.cuda.records import CudaEncodeReport, CudaLayerReport, CudaTrainReport
from scripts.benchmarking.results import read_report, write_report

SECONDS = 300.0


def measure(
    subject: str,
    *,
    hidden_sizes: Sequence[int] | None,
    batches: Sequence[int] | None,
    layers: Sequence[int] | None,
    mean_lengths: Sequence[float] | None,
    dtype: str,
    turns: int,
    steps: int | None,
    config: Path,
    seconds: float | None,
    peak_size: int | None,
    json_out: Path | None,
    resume: bool = False,
) -> CudaLayerReport | CudaEncodeReport | CudaTrainReport:
    """Measure one subject on the current CUDA device; None stands for what its targets are given for.

    Args:
        subject: rnn, encode or train.
        hidden_sizes: rnn, encode: each H.
        batches: rnn, encode: each B.
        layers: rnn: each L.
        mean_lengths: rnn: each; encode: one.
        dtype: rnn, train.
        turns: rnn, encode: measured turns of each candidate.
        steps: train: in blocks of eight.
        config: train: the experiment.
        seconds: no shape, or block of training steps, is begun after them.
        peak_size: rnn: rows and columns of the matrix product that is a ceiling; the copy has 32 times its numbers.
        json_out: Written after each shape, or block.
        resume: rnn, encode: whether to go on with what that file holds, if it is there.

    Raises:
        RuntimeError: when there is no CUDA device, or it does not work any more.
        ValueError: when a value is not allowed.
    """
    accelerator = CudaAccelerator()
    seconds = SECONDS if seconds is None else seconds
    hidden_sizes = hidden_sizes or [128, 256, 512]

    earlier = read_report(json_out) if resume and json_out is not None and json_out.is_file() else None

    def save(report: CudaLayerReport | CudaEncodeReport | CudaTrainReport) -> None:
        if json_out is not None:
            write_report(report, json_out)

    # Training needs packages that the others do not.
    match subject:
        case "rnn":
            from scripts.benchmarking.cuda import rnn

            size = peak_size or SIZE
            plan = LayerPlan(
                hidden_sizes=hidden_sizes,
                batches=batches or [64, 512, 4096],
                layers=layers or [1, 2],
                mean_lengths=mean_lengths or [12.0, 25.0],
                dtype=dtype,
                turns=turns,
                seconds=seconds,
                peak_size=size,
                copy_bytes=32 * size * size,
            )
            before = earlier if isinstance(earlier, CudaLayerReport) else None
            return rnn.measure(accelerator, plan, save=save, earlier=before)
        case "encode":
            from scripts.benchmarking.cuda import encode

            wanted = encode.EncodePlan(
                hidden_sizes=hidden_sizes,
                batches=batches or [64, 512, 4096, 16384],
                mean_length=one(mean_lengths),
                turns=turns,
                seconds=seconds,
            )
            known = earlier if isinstance(earlier, CudaEncodeReport) else None
            return encode.measure(accelerator, wanted, save=save, earlier=known)
        case "train":
            from scripts.benchmarking.cuda import train

            if dtype == "float16":
                raise ValueError("--dtype: got float16, which trains with scaled losses; allowed: float32, bfloat16")
            steps_wanted = train.TrainPlan(config, dtype, blocks=max(2, (steps or 96) // 8), seconds=seconds)
            return train.measure(accelerator, steps_wanted, save=save)
        case _:
            raise ValueError(f"subject: got {subject}, allowed: rnn, encode, train")


def one(mean_lengths: Sequence[float] | None) -> float:
    """Return the mean length where only one is measured, 12 by default.

    Raises:
        ValueError: when there are more.
    """
    if mean_lengths is not None and len(mean_lengths) != 1:
        raise ValueError(f"--mean-length: got {len(mean_lengths)} of them; several are for rnn --device cuda")
    return mean_lengths[0] if mean_lengths else 12.0


def refuse_on_cpu(**given: object) -> None:
    """Refuse options that only a GPU's benchmark has.

    Raises:
        ValueError: naming the first that was given.
    """
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"--{name}: got {value}, which is for --device cuda; on the CPU, leave it out")
