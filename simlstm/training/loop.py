"""The training loop: steps, evaluations, savings, and an exact place to go on from."""

import contextlib
import math
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from simlstm.models.siamese import SiameseModel
from simlstm.training.config import TrainingConfig
from simlstm.training.corpus import Corpus, PlannedBatch
from simlstm.training.display import Display
from simlstm.training.ema import AveragedModel
from simlstm.training.interruption import Interrupted, Interruption
from simlstm.training.journal import Journal
from simlstm.training.objective import Objective
from simlstm.training.optimizer import build_optimizer, load_optimizer_tensors, optimizer_tensors, set_rate
from simlstm.training.schedule import learning_rate_factor
from simlstm.training.state import Progress, StateFolder

LOWER_IS_BETTER = frozenset({"mse", "mse_published"})


class DivergedError(RuntimeError):
    """A loss that is no longer a finite number."""


class Trainer:
    """Trains one model, from the beginning or from a saved state, to the same weights either way.

    Everything that steers a step is a function of the configuration and the step (schedule, order of batches) or part
    of the saved state (weights, average, moments, random generators). A step is saved at most once, after its
    evaluation when it has one.

    Args:
        config: The experiment.
        model: On its device, with its first weights; `resume` overwrites them.
        corpus: Training batches.
        objective: The losses.
        measure: Gives the dev metrics of a model.
        metric: The dev metric that decides, one of those.
        state: Where savings go.
        journal: Where numbers go.
        display: What a person sees.
    """

    def __init__(
        self,
        config: TrainingConfig,
        *,
        model: SiameseModel,
        corpus: Corpus,
        objective: Objective,
        measure: Callable[[SiameseModel], Mapping[str, float]],
        metric: str,
        state: StateFolder,
        journal: Journal,
        display: Display,
    ) -> None:
        self.config = config
        self.model = model.train()
        self.corpus = corpus
        self.objective = objective
        self.measure = measure
        self.metric = metric
        self.state = state
        self.journal = journal
        self.display = display
        self.device = model.encoder.embedding.weight.device
        self.optimizer = build_optimizer(model, config.optimizer, config.embedding)
        self.average = AveragedModel(model, config.training.ema_decay) if config.training.ema_decay > 0 else None
        self.progress = Progress()
        self.steps_per_epoch = math.ceil(corpus.batches_per_epoch() / config.training.accumulation_steps)
        self.total_steps = self.steps_per_epoch * config.training.epochs
        self._sums: dict[str, Tensor] = {}
        self._wall_clock = time.perf_counter()

    @property
    def result(self) -> SiameseModel:
        """The model that is evaluated and saved: the average of the weights, or the weights themselves."""
        return self.model if self.average is None else self.average.model

    def resume(self, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Go to a saved place.

        Args:
            progress: As saved.
            tensors: As saved: model, average, optimizer, random generators.
        """
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}, "random": {}}
        for name, tensor in tensors.items():
            part, _, key = name.partition(":")
            parts[part][key] = tensor
        self.model.load_state_dict(parts["model"])
        if self.average is not None:
            self.average.model.load_state_dict(parts["average"])
        load_optimizer_tensors(self.optimizer, parts["optimizer"])
        torch.set_rng_state(parts["random"]["cpu"])
        if "cuda" in parts["random"]:
            torch.cuda.set_rng_state(parts["random"]["cuda"], self.device)
        self.progress = progress
        self._sums = {name: self._double(value) for name, value in progress.sums.items()}

    def save(self) -> None:
        """Save the state of the step just done."""
        self._check_finite()
        now = time.perf_counter()
        self.progress.wall_seconds += now - self._wall_clock
        self._wall_clock = now
        self.progress.sums = {name: value.item() for name, value in self._sums.items()}
        self.progress.log_bytes = self.journal.position()
        tensors = {f"model:{name}": tensor for name, tensor in self.model.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average:{name}": tensor for name, tensor in self.average.model.state_dict().items()}
        tensors |= {f"optimizer:{name}": tensor for name, tensor in optimizer_tensors(self.optimizer).items()}
        tensors["random:cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random:cuda"] = torch.cuda.get_rng_state(self.device)
        self.state.save(self.progress, tensors)

    def run(self) -> None:
        """Train to the end, or to early stopping.

        Raises:
            Interrupted: After SIGINT or SIGTERM, with the state saved.
            DivergedError: When a loss is no longer finite.
        """
        settings = self.config.training
        self._wall_clock = time.perf_counter()
        with Interruption() as interruption, self.display as display:
            display.begin(self.total_steps, self.progress.step)
            while self.progress.epoch < settings.epochs and not self.progress.stopped:
                plan = self.corpus.epoch(self.progress.epoch)
                while self.progress.step_in_epoch < self.steps_per_epoch and not self.progress.stopped:
                    first = self.progress.step_in_epoch * settings.accumulation_steps
                    self._step(plan[first : first + settings.accumulation_steps])
                    self._after_step()
                    if interruption.signal_number is not None:
                        self.save()
                        raise Interrupted(interruption.signal_number, self.progress.step)
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
            batch, kind = self.corpus.collate(planned)
            with self._precision():
                output = self.model(batch.tokens.to(device=self.device))  # type: ignore[call-arg]
            groups = None if batch.groups is None else batch.groups.to(self.device)
            losses = self.objective(output, batch.targets.to(self.device), groups, kind)
            (losses["loss"] / len(batches)).backward()  # type: ignore[no-untyped-call]
            self._record({name: value.detach() for name, value in losses.items()})
            self.progress.sentences += 2 * len(planned.rows)
        if settings.max_gradient_norm > 0:
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.max_gradient_norm)
            self._record({"gradient_norm": norm})
        self.optimizer.step()
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
            self._log()
        self.display.advance(progress.step, epoch=progress.epoch, sentences_per_second=self.sentences_per_second())
        parts = min(settings.evaluations_per_epoch, self.steps_per_epoch)
        if progress.step_in_epoch in {round(self.steps_per_epoch * part / parts) for part in range(1, parts + 1)}:
            self._evaluate()
            self.save()
        elif progress.step % settings.save_every == 0:
            self.save()

    def _evaluate(self) -> None:
        """Measure on dev; keep the weights when they are the best so far, count towards the early end when not."""
        self._check_finite()
        progress = self.progress
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            metrics = dict(self.measure(self.result))
        value = metrics[self.metric]
        sign = -1 if self.metric in LOWER_IS_BETTER else 1
        is_best = progress.best_value is None or sign * value > sign * progress.best_value
        self.journal.write("dev", progress.step, metrics, epoch=progress.epoch)
        if is_best:
            self.state.save_best(progress.step, self.result.state_dict())
            progress.best_value, progress.best_step, progress.best_metrics = value, progress.step, metrics
            progress.evaluations_since_best = 0
        else:
            progress.evaluations_since_best += 1
            progress.stopped = progress.evaluations_since_best == self.config.training.patience
        self.display.evaluated(
            progress.step,
            epoch=progress.epoch,
            metric=self.metric,
            value=value,
            is_best=is_best,
            sentences_per_second=self.sentences_per_second(),
        )

    def sentences_per_second(self) -> float:
        """Return the rate of training so far, evaluations and savings left out."""
        return self.progress.sentences / max(self.progress.train_seconds, 1e-9)

    def _record(self, values: Mapping[str, Tensor]) -> None:
        """Add to the sums of the next log line, without waiting for the device."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, self._double(0.0)) + value
            self.progress.counts[name] = self.progress.counts.get(name, 0) + 1

    def _log(self) -> None:
        """Write the means since the last line."""
        self._check_finite()
        means = {name: value.item() / self.progress.counts[name] for name, value in self._sums.items()}
        rates = {f"learning_rate_{group['part']}": group["lr"] for group in self.optimizer.param_groups}
        rate = {"sentences_per_second": self.sentences_per_second()}
        self.journal.write("train", self.progress.step, means | rates | rate, epoch=self.progress.epoch)
        self._sums, self.progress.counts = {}, {}

    def _check_finite(self) -> None:
        """Stop before a broken model is saved; the sums since the last line tell, as NaN stays NaN in a sum."""
        for name, value in self._sums.items():
            if not math.isfinite(value.item()):
                raise DivergedError(
                    f"{name} is no longer finite at step {self.progress.step}: try a lower optimizer.learning_rate"
                )

    def _double(self, value: float) -> Tensor:
        return torch.tensor(value, dtype=torch.float64, device=self.device)

    def _precision(self) -> contextlib.AbstractContextManager[object]:
        """Autocast to bfloat16 when asked."""
        if self.config.training.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return contextlib.nullcontext()
