"""Training steps on a GPU with our layer, against the same steps with ``torch.nn.LSTM`` put in its place."""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from scripts.benchmarking.cuda.accelerator import Accelerator
from scripts.benchmarking.cuda.cudnn_use import measured_plans
from scripts.benchmarking.cuda.dtypes import DTYPES, tf32
from scripts.benchmarking.cuda.gpu import describe_cuda_machine
from scripts.benchmarking.cuda.norms import OUTPUTS, PEER_FACTOR, relative_norm
from scripts.benchmarking.cuda.records import CudaTrainFigure, CudaTrainReport
from scripts.benchmarking.interleave import Measurement, median_ratio
from scripts.benchmarking.train import OURS, STOCK, stepper, with_stock_layer
from simlstm.models.siamese import SiameseModel
from simlstm.training.build import build_corpus, build_start
from simlstm.training.config import PrecisionName
from simlstm.training.config_file import load_config
from simlstm.training.corpus import Corpus, PlannedBatch
from simlstm.training.run_data import read_run_data

# float32 is TF32 here: `tf32` below; the name says whether the forward pass autocasts.
PRECISIONS: dict[str, PrecisionName] = {"float32": "tf32", "bfloat16": "bf16"}


@dataclass(frozen=True)
class TrainPlan:
    """What is measured.

    Attributes:
        config: The experiment; its precision does not count.
        dtype: float32 (TF32 on the device) or what the forward pass autocasts to.
        blocks: Measured blocks of steps; blocks of both layers take turns.
        block: Steps of a block, on the same batches for both, without waiting for the device in between.
        seconds: No block is begun after them.
    """

    config: Path
    dtype: str
    blocks: int
    block: int = 8
    seconds: float = math.inf


class DeviceStopwatch:
    """Marks at the ends of the parts of each step, read when the device has come past them."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._laps: list[tuple[str, Any, Any]] = []
        self._last: Any = None

    def start(self) -> None:
        """Begin a step."""
        self._last = self._accelerator.mark()

    def lap(self, part: str) -> None:
        """End a part; what follows belongs to the next."""
        now = self._accelerator.mark()
        self._laps.append((part, self._last, now))
        self._last = now

    def forget(self) -> None:
        """Forget the laps so far."""
        self._laps.clear()

    def medians(self) -> dict[str, float]:
        """Return the median seconds of each part."""
        seconds: dict[str, list[float]] = {}
        for part, first, second in self._laps:
            seconds.setdefault(part, []).append(self._accelerator.seconds_between(first, second))
        return {part: statistics.median(values) for part, values in seconds.items()}


def measure(
    accelerator: Accelerator,
    plan: TrainPlan,
    *,
    save: Callable[[CudaTrainReport], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> CudaTrainReport:
    """Train both candidates block by block, in alternating order; one block of each warms up.

    Args:
        accelerator: Where.
        plan: What; what its time does not suffice for is left out.
        save: Called with the report so far from the second measured block on.
        clock: Returns seconds.

    Raises:
        ParityError: when the embeddings of the first batch differ: no speed is reported for another layer.
        RuntimeError: when the time is over before two blocks are measured.
        ValueError: when an epoch is over before there are two blocks to measure.
    """
    end = clock() + plan.seconds
    config = load_config(plan.config)
    data = read_run_data(config)
    start = build_start(config, data)
    corpus = build_corpus(config, data, start)
    planned = corpus.epoch(0)
    needed = (plan.blocks + 1) * plan.block
    if plan.blocks < 2 or len(planned) < needed:
        raise ValueError(
            f"{plan.config}: {plan.blocks} blocks of {plan.block} steps and one to warm up were asked for; at least 2 "
            f"blocks are allowed, and as many as the {len(planned)} batches of an epoch hold"
        )
    device = accelerator.device
    ours = start.model.to(device)
    models = {OURS: ours, STOCK: with_stock_layer(ours).to(device)}
    watches = {name: DeviceStopwatch(accelerator) for name in models}
    timed = {name: Measurement(name) for name in models}
    machine = describe_cuda_machine(device)
    taken = 0
    made: CudaTrainReport | None = None

    def report() -> CudaTrainReport:
        sentences = sum(2 * len(batch.rows) for batch in planned[plan.block : (taken + 1) * plan.block])
        made = CudaTrainReport(
            machine=machine,
            refused=[],
            left_out=[] if taken == plan.blocks else [f"{plan.blocks - taken} of {plan.blocks} blocks"],
            plans=measured_plans(device),
            config=plan.config.name,
            precision="TF32" if plan.dtype == "float32" else f"{plan.dtype} autocast",
            steps=taken * plan.block,
            block=plan.block,
            sentences=sentences,
            parity=parity,
            ratio=median_ratio(timed[STOCK], timed[OURS]),
            figures={
                name: CudaTrainFigure(
                    timing=measurement.timing(),
                    sentences_per_second=sentences / (plan.block * sum(measurement.seconds)),
                    parts=watches[name].medians(),
                )
                for name, measurement in timed.items()
            },
        )
        save(made)
        return made

    with tf32():
        parity = _parity(models, corpus, planned[0], plan.dtype, device)
        steppers = {
            name: stepper(model, corpus, config, watches[name], device=device, precision=PRECISIONS[plan.dtype])
            for name, model in models.items()
        }
        for number in range(plan.blocks + 1):
            if clock() >= end:
                break
            first = number * plan.block
            for name in models if number % 2 == 0 else reversed(models):
                accelerator.wait()
                begun = accelerator.mark()
                for step in range(first, first + plan.block):
                    steppers[name](planned[step], step)
                ended = accelerator.mark()
                accelerator.wait()
                if number == 0:
                    watches[name].forget()
                else:
                    timed[name].seconds.append(accelerator.seconds_between(begun, ended) / plan.block)
            taken = number
            made = report() if taken > 1 else None
    if made is None:
        raise RuntimeError(f"the time of {plan.seconds:g} s was over after {taken} of {plan.blocks} measured blocks")
    return made


def _parity(
    models: dict[str, SiameseModel], corpus: Corpus, planned: PlannedBatch, dtype: str, device: torch.device
) -> float:
    """Compare the embeddings [2P, D] of a batch, without dropout; the right ones are those of the stock layer."""
    batch, _ = corpus.collate(planned)
    tokens = batch.tokens.to(device=device)  # type: ignore[call-arg]
    shown = {}
    for name, model in models.items():
        model.eval()
        with torch.no_grad(), torch.autocast(device.type, DTYPES[dtype], enabled=dtype != "float32"):
            shown[name] = model.encoder(tokens)
    allowed = OUTPUTS[dtype] * (1 + PEER_FACTOR)  # both are rounded
    return relative_norm("simlstm in training", shown[OURS], shown[STOCK].double(), allowed=allowed)
