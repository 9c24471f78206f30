"""A whole training step with our layer, against the same step with ``torch.nn.LSTM`` put in its place."""

import copy
import math
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from scripts.benchmarking.interleave import Measurement, median_ratio
from scripts.benchmarking.machine import describe_machine
from scripts.benchmarking.results import TrainFigure, TrainReport
from simlstm.models.siamese import SiameseModel
from simlstm.training.batch_losses import BatchLosses
from simlstm.training.build import build_corpus, build_start
from simlstm.training.config import PrecisionName, TrainingConfig
from simlstm.training.config_file import load_config
from simlstm.training.corpus import Corpus, PlannedBatch
from simlstm.training.distributed import ALONE
from simlstm.training.ema import AveragedModel
from simlstm.training.joint import build_tasks
from simlstm.training.optimizer import build_optimizer, set_rate
from simlstm.training.precision import Precision
from simlstm.training.run_data import read_run_data
from simlstm.training.schedule import learning_rate_factor

# The first losses agree to the rounding of the products (bf16 keeps 8 bits, and torch rounds the cell state to them
# too); later ones drift apart as any two summation orders do in training.
PARITY = {"float32": 1e-5, "bf16": 1e-3}
WARMUP = 5
OURS, STOCK = "simlstm", "torch.nn.LSTM"
_CPU = torch.device("cpu")


class Watch(Protocol):
    """Who learns where the parts of a step end."""

    def start(self) -> None:
        """Begin a step."""

    def lap(self, part: str) -> None:
        """End a part; what follows belongs to the next."""


class Stopwatch:
    """Seconds of each part of a step, lap by lap."""

    def __init__(self) -> None:
        self.laps: dict[str, list[float]] = {}
        self._last = time.perf_counter()

    def start(self) -> None:
        """Begin a step."""
        self._last = time.perf_counter()

    def lap(self, part: str) -> None:
        """End a part; what follows belongs to the next."""
        now = time.perf_counter()
        self.laps.setdefault(part, []).append(now - self._last)
        self._last = now


def with_stock_layer(model: SiameseModel) -> SiameseModel:
    """Return a copy of the model whose recurrent layer is ``torch.nn.LSTM`` with the same weights."""
    twin = copy.deepcopy(model)
    ours = model.encoder.recurrent
    assert isinstance(ours, nn.RNNBase)  # noqa: S101 - simlstm.rnn.LSTM is one
    stock = nn.LSTM(
        ours.input_size, ours.hidden_size, ours.num_layers, dropout=ours.dropout, bidirectional=ours.bidirectional
    )
    stock.load_state_dict(ours.state_dict())
    twin.encoder.recurrent = stock
    return twin


def stepper(
    model: SiameseModel,
    corpus: Corpus,
    config: TrainingConfig,
    watch: Watch,
    *,
    device: torch.device = _CPU,
    precision: PrecisionName,
) -> Callable[[PlannedBatch, int], Tensor]:
    """Return a function that does one training step as the loop does it, and gives the loss.

    As in the loop: schedule, clipping and the average of the weights. Otherwise: every batch is a step (no
    accumulation) of a run of as many epochs.

    Args:
        model: On the device.
        corpus: Packs the batches.
        config: The experiment.
        watch: Learns where each part ends.
        device: Where the model is.
        precision: Of the forward pass; float16 is not for it, whose losses are not scaled here.
    """
    tasks = build_tasks(config, head=config.model.head, kinds=corpus.kinds)
    batch_losses = BatchLosses(
        model, corpus, tasks, precision=Precision(precision, device), processes=ALONE, device=device
    )
    # When the model is called, its batch is packed and on its way.
    model.register_forward_pre_hook(lambda *_: watch.lap("collate"))
    optimizer = build_optimizer(model, config.optimizer, config.embedding)
    average = AveragedModel(model, config.training.ema_decay) if config.training.ema_decay > 0 else None
    total_steps = corpus.batches_per_epoch() * config.training.epochs
    settings = config.optimizer
    model.train()

    def step(planned: PlannedBatch, number: int) -> Tensor:
        torch.manual_seed(number)  # the same dropout for both candidates
        factor = learning_rate_factor(
            number,
            total_steps=total_steps,
            warmup_fraction=settings.warmup_fraction,
            kind=settings.schedule,
            final_fraction=settings.final_learning_rate_fraction,
        )
        set_rate(optimizer, factor)
        watch.start()
        loss = batch_losses(planned)["loss"]
        watch.lap("forward")
        loss.backward()  # type: ignore[no-untyped-call]
        watch.lap("backward")
        if settings.max_gradient_norm > 0:
            nn.utils.clip_grad_norm_(model.parameters(), settings.max_gradient_norm)
        optimizer.step()
        optimizer.zero_grad()
        if average is not None:
            average.update(model, number + 1)
        watch.lap("update")
        return loss.detach()

    return step


def measure(config_file: Path, *, steps: int | None, threads: int | None = None) -> TrainReport:
    """Train both candidates side by side, batch by batch, in alternating order.

    Args:
        config_file: The experiment; its first epoch is what is measured.
        steps: Measured steps; a whole epoch when None.
        threads: CPU threads; the experiment's own when None.

    Returns:
        Per candidate: seconds, sentences per second and where they go; and the ratios (above 1: ours is faster).

    Raises:
        RuntimeError: when the first losses differ: no speed is reported for a layer that computes something else.
        ValueError: when the epoch is over before there are two steps to measure.
    """
    config = load_config(config_file)
    threads = threads or config.training.threads
    if threads is not None:
        torch.set_num_threads(threads)
    machine = describe_machine()
    data = read_run_data(config)
    start = build_start(config, data)
    corpus = build_corpus(config, data, start)
    models = {OURS: start.model, STOCK: with_stock_layer(start.model)}
    watches = {name: Stopwatch() for name in models}
    precision = config.training.precision
    steppers = {
        name: stepper(model, corpus, config, watches[name], precision=precision) for name, model in models.items()
    }
    timed = {name: Measurement(name) for name in models}
    parity = PARITY[precision]
    sentences = 0
    plan = corpus.epoch(0)
    count = len(plan) if steps is None else min(steps + WARMUP, len(plan))
    if count < WARMUP + 2:
        raise ValueError(f"{config_file}: at least {WARMUP + 2} batches are needed ({WARMUP} warm up), got {count}")
    for number, planned in enumerate(islice(plan, count)):
        losses = {}
        for name in models if number % 2 == 0 else reversed(models):
            begin = time.perf_counter()
            losses[name] = steppers[name](planned, number).item()
            if number >= WARMUP:
                timed[name].seconds.append(time.perf_counter() - begin)
        if number == 0 and not math.isclose(*losses.values(), rel_tol=parity):
            raise RuntimeError(f"parity failed: first losses {losses}, allowed relative difference {parity:.0e}")
        sentences += 2 * len(planned.rows) if number >= WARMUP else 0
    return TrainReport(
        machine=machine,
        config=config_file.name,
        precision=precision,
        steps=count - WARMUP,
        sentences=sentences,
        step_ratio=median_ratio(timed[STOCK], timed[OURS]),
        total_ratio=sum(timed[STOCK].seconds) / sum(timed[OURS].seconds),
        figures={name: _figure(timed[name], watches[name], sentences) for name in models},
    )


def _figure(measurement: Measurement, watch: Stopwatch, sentences: int) -> TrainFigure:
    seconds = sum(measurement.seconds)
    return TrainFigure(
        timing=measurement.timing(),
        seconds=seconds,
        sentences_per_second=sentences / seconds,
        parts={part: statistics.median(laps[WARMUP:]) for part, laps in watch.laps.items()},
    )
