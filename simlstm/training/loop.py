"""The training loop: steps, evaluations, savings, and an exact place to go on from."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from simlstm.models.siamese import SiameseModel
from simlstm.training.batch_losses import BatchLosses
from simlstm.training.config import TrainingConfig
from simlstm.training.corpus import Corpus, PlannedBatch
from simlstm.training.display import Display
from simlstm.training.distillation import DistillationLoss
from simlstm.training.distributed import ALONE, Processes
from simlstm.training.ema import AveragedModel
from simlstm.training.interruption import Interrupted, Interruption
from simlstm.training.joint import PairTask, served
from simlstm.training.journal import Journal
from simlstm.training.means import RunningMeans
from simlstm.training.optimizer import build_optimizer, load_optimizer_tensors, optimizer_tensors, set_rate
from simlstm.training.precision import Precision
from simlstm.training.schedule import learning_rate_factor
from simlstm.training.state import Progress, StateFolder

LOWER_IS_BETTER = frozenset({"mse", "mse_published"})


class DivergedError(RuntimeError):
    """A loss that is no longer a finite number."""


class Trainer:
    """Trains one model, from the beginning or from a saved state, to the same weights either way.

    Everything that steers a step is a function of the configuration and the step (schedule, order of batches) or part
    of the saved state (weights, average, moments, random generators). A step is saved at most once, after its
    evaluation when it has one. On several processes each has a Trainer; the first one writes and decides.

    Nothing in a step waits for a GPU: sums stay on it until they are logged, and an interruption is asked for while
    the step is computed.

    Args:
        config: The experiment.
        model: On its device, with its first weights; `resume` overwrites them.
        corpus: Training batches.
        tasks: Losses and head of each source.
        measure: Gives the dev metrics of a model.
        metric: The dev metric that decides, one of those.
        state: Where savings go.
        journal: Where numbers go; None on all processes but the first.
        display: What a person sees.
        processes: The processes of the run.
        distillation: The losses of sources of sentences.
    """

    def __init__(
        self,
        config: TrainingConfig,
        *,
        model: SiameseModel,
        corpus: Corpus,
        tasks: Sequence[PairTask],
        measure: Callable[[SiameseModel], Mapping[str, float]],
        metric: str,
        state: StateFolder,
        journal: Journal | None,
        display: Display,
        processes: Processes = ALONE,
        distillation: DistillationLoss | None = None,
    ) -> None:
        self.config = config
        self.model = model.train()
        self.corpus = corpus
        self.measure = measure
        self.metric = metric
        self.state = state
        self.journal = journal
        self.processes = processes
        self.display = display
        self.device = model.encoder.embedding.weight.device
        model.encoder.embedding.sparse = config.embedding.row_updates
        self.optimizer = build_optimizer(model, config.optimizer, config.embedding)
        decay = config.training.ema_decay
        self.average = AveragedModel(model, decay, every=config.training.ema_every) if decay > 0 else None
        self.precision = Precision(config.training.precision, self.device)
        self.batch_losses = BatchLosses(
            model,
            corpus,
            tasks,
            precision=self.precision,
            processes=processes,
            device=self.device,
            distillation=distillation,
        )
        self.progress = Progress(processes=processes.count)
        self.steps_per_epoch = math.ceil(corpus.batches_per_epoch() / config.training.accumulation_steps)
        self.total_steps = self.steps_per_epoch * config.training.epochs
        self.means = RunningMeans(self.device)
        self._evaluates_after = _parts(self.steps_per_epoch, config.training.evaluations_per_epoch)
        self._wall_clock = time.perf_counter()

    @property
    def result(self) -> SiameseModel:
        """The model that is evaluated and saved, with dev's head: the average of the weights, or the weights."""
        return served(self.model if self.average is None else self.average.model)

    def resume(self, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Go to a saved place.

        Args:
            progress: As saved.
            tensors: As saved: model, average, optimizer, scaling of losses, random generators.
        """
        parts: dict[str, dict[str, Tensor]] = {
            part: {} for part in ("model", "average", "optimizer", "scaling", "random")
        }
        for name, tensor in tensors.items():
            part, _, key = name.partition(":")
            parts[part][key] = tensor
        self.model.load_state_dict(parts["model"])
        if self.average is not None:
            self.average.model.load_state_dict(parts["average"])
        load_optimizer_tensors(self.optimizer, parts["optimizer"])
        self.precision.load(parts["scaling"])
        if progress.processes == self.processes.count:
            self.processes.set_random_states(parts["random"], self.device)
        self.progress = replace(progress, processes=self.processes.count)
        self.means.load(progress.sums, progress.counts)

    def save(self) -> None:
        """Save the state of the step just done."""
        self._wait_for_device()
        random = self.processes.random_states(self.device)
        self.processes.lead(lambda: self._save(random))

    def _save(self, random: Mapping[str, Tensor]) -> None:
        """Write the state, on the first process."""
        self._check_finite()
        now = time.perf_counter()
        self.progress.wall_seconds += now - self._wall_clock
        self._wall_clock = now
        self.progress.sums, self.progress.counts = self.means.sums(), dict(self.means.counts)
        if self.journal is not None:
            self.progress.log_bytes = self.journal.position()
        tensors = {f"model:{name}": tensor for name, tensor in self.model.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average:{name}": tensor for name, tensor in self.average.model.state_dict().items()}
        tensors |= {f"optimizer:{name}": tensor for name, tensor in optimizer_tensors(self.optimizer).items()}
        tensors |= {f"scaling:{name}": tensor for name, tensor in self.precision.tensors().items()}
        tensors |= {f"random:{name}": tensor for name, tensor in random.items()}
        self.state.save(self.progress, tensors)

    def run(self) -> None:
        """Train to the end, or to early stopping.

        Raises:
            Interrupted: After SIGINT or SIGTERM to any process, with the state saved.
            DivergedError: When a loss is no longer finite.
            PeerError: When another process failed, or is gone.
        """
        settings = self.config.training
        self._wall_clock = time.perf_counter()
        with Interruption() as interruption, self.display as display:
            display.begin(self.total_steps, self.progress.step)
            while self.progress.epoch < settings.epochs and not self.progress.stopped:
                plan = self.corpus.epoch(self.progress.epoch)
                while self.progress.step_in_epoch < self.steps_per_epoch and not self.progress.stopped:
                    stopped_by = self.processes.ask(lambda: interruption.signal_number or 0)
                    first = self.progress.step_in_epoch * settings.accumulation_steps
                    self._step(plan[first : first + settings.accumulation_steps])
                    self._after_step()
                    if number := stopped_by():
                        self.save()
                        raise Interrupted(number, self.progress.step)
                if not self.progress.stopped:
                    self.progress.epoch += 1
                    self.progress.step_in_epoch = 0
            self.save()

    def _step(self, batches: list[PlannedBatch]) -> None:
        """Do one optimizer step on the mean gradient of some batches."""
        started = time.perf_counter()
        settings = self.config.optimizer
        factor = learning_rate_factor(
            self.progress.step,
            total_steps=self.total_steps,
            warmup_fraction=settings.warmup_fraction,
            kind=settings.schedule,
            final_fraction=settings.final_learning_rate_fraction,
        )
        set_rate(self.optimizer, factor)
        for planned in batches:
            losses = self.batch_losses(planned)
            self.precision.scaler.scale(losses["loss"] / len(batches)).backward()  # type: ignore[no-untyped-call]
            self._record({name: value.detach() for name, value in losses.items()})
            self.progress.sentences += len(planned.rows) * (1 if self.corpus.is_taught(planned) else 2)
        self.processes.add_gradients(self.model.parameters())
        self._record(self.precision.clip(self.optimizer, self.model.parameters(), settings.max_gradient_norm))
        self.precision.scaler.step(self.optimizer)
        self.precision.scaler.update()
        self.optimizer.zero_grad()
        self.progress.step += 1
        self.progress.step_in_epoch += 1
        if self.average is not None:
            self.average.update(self.model, self.progress.step)
        self.progress.train_seconds += time.perf_counter() - started

    def _after_step(self) -> None:
        """Log, evaluate and save where it is due."""
        settings, progress = self.config.training, self.progress
        if progress.step % settings.log_every == 0:
            self._wait_for_device()
            self.processes.lead(self._log)
        self.display.advance(progress.step, epoch=progress.epoch, sentences_per_second=self.sentences_per_second())
        if progress.step_in_epoch in self._evaluates_after:
            self._wait_for_device()
            progress.stopped = self.processes.lead(self._evaluate)
            self.save()
        elif progress.step % settings.save_every == 0:
            self.save()

    def _evaluate(self) -> bool:
        """Measure on dev, keep the weights when they are the best so far, and say whether it is time to stop early."""
        self._check_finite()
        progress = self.progress
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            metrics = dict(self.measure(self.result))
        value = metrics[self.metric]
        sign = -1 if self.metric in LOWER_IS_BETTER else 1
        is_best = progress.best_value is None or sign * value > sign * progress.best_value
        self._write("dev", {**metrics, "train_seconds": progress.train_seconds})
        if is_best:
            self.state.save_best(progress.step, self.result.state_dict())
            progress.best_value, progress.best_step, progress.best_metrics = value, progress.step, metrics
            progress.evaluations_since_best = 0
        else:
            progress.evaluations_since_best += 1
        if self.config.training.averaged_checkpoints > 1:
            self._keep(sign * value, is_saved=is_best)
        self.display.evaluated(
            progress.step,
            epoch=progress.epoch,
            metric=self.metric,
            value=value,
            is_best=is_best,
            sentences_per_second=self.sentences_per_second(),
        )
        return not is_best and progress.evaluations_since_best == self.config.training.patience

    def _keep(self, merit: float, *, is_saved: bool) -> None:
        """Keep the weights of an evaluation that is among the best ones, for their mean."""
        progress = self.progress
        ranked = sorted({**progress.kept, str(progress.step): merit}.items(), key=lambda item: -item[1])
        progress.kept = dict(ranked[: self.config.training.averaged_checkpoints])
        if str(progress.step) in progress.kept and not is_saved:
            self.state.save_best(progress.step, self.result.state_dict())

    def sentences_per_second(self) -> float:
        """Return the rate of training so far, of all processes together, evaluations and savings left out."""
        return self.progress.sentences / max(self.progress.train_seconds, 1e-9)

    def _record(self, values: Mapping[str, Tensor]) -> None:
        """Add to the means of the next log line, without waiting for the device."""
        if self.processes.leads:
            self.means.add(values)

    def _log(self) -> None:
        """Write the means since the last line."""
        self._check_finite()
        rates = {f"learning_rate_{group['part']}": group["lr"] for group in self.optimizer.param_groups}
        rate = {"sentences_per_second": self.sentences_per_second()}
        self._write("train", self.means.means() | rates | rate)
        self.means.clear()

    def _write(self, event: str, values: dict[str, float]) -> None:
        if self.journal is not None:
            self.journal.write(event, self.progress.step, values, epoch=self.progress.epoch)

    def _check_finite(self) -> None:
        """Stop before a broken model is saved; the sums since the last line tell."""
        for name, value in self.means.sums().items():
            if not math.isfinite(value):
                raise DivergedError(
                    f"{name} is no longer finite at step {self.progress.step}: try a lower optimizer.learning_rate"
                )

    def _wait_for_device(self) -> None:
        """Let the time of steps include what a GPU still has to do for them."""
        if self.device.type == "cuda":
            started = time.perf_counter()
            torch.cuda.synchronize(self.device)
            self.progress.train_seconds += time.perf_counter() - started


def _parts(steps: int, parts: int) -> frozenset[int]:
    """Return the steps of an epoch that end each of so many equal parts of it."""
    parts = min(parts, steps)
    return frozenset(round(steps * part / parts) for part in range(1, parts + 1))
