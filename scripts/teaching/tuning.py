"""Fine-tuning a transformer on scored pairs: a few epochs, of which dev keeps the best."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scripts.teaching.pair_models import PairModel
from scripts.teaching.scoring import score_pairs
from simlstm.data.batching import BucketBatches
from simlstm.data.pairs import PairData
from simlstm.evaluation.metrics import pearson, spearman
from simlstm.training.schedule import learning_rate_factor


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a teacher is tuned; the defaults are those of small BERTs (Devlin et al. 2019, appendix A.3).

    Attributes:
        epochs: Passes over all pairs.
        batch_size: Pairs of a step.
        learning_rate: At the top of the linear climb, from which it falls linearly to 0.
        warmup_fraction: Share of the steps that climb.
        weight_decay: Of AdamW; none for biases and normalisations.
        max_gradient_norm: Larger gradients are cut.
        bfloat16: Whether products are computed in bfloat16; weights and losses are float32.
        seed: Of order, dropout, and which sentence of a pair stands first.
    """

    epochs: int = 3
    batch_size: int = 32
    learning_rate: float = 5e-5
    warmup_fraction: float = 0.1
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    bfloat16: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Epoch:
    """What an epoch came to; number 0 is the model as it was.

    Attributes:
        number: From 0.
        loss: Mean over the steps; None before the first.
        spearman: Of each dev file, in their order.
        pearson: Of each dev file.
    """

    number: int
    loss: float | None
    spearman: list[float]
    pearson: list[float]

    @property
    def selection(self) -> float:
        """Mean Spearman correlation of the dev files, to six digits: the last bits of a sum are no improvement."""
        return round(sum(self.spearman) / len(self.spearman), 6)


def tune(
    model: PairModel,
    train: Sequence[PairData],
    dev: Sequence[PairData],
    settings: Tuning,
    *,
    advance: Callable[[int, int], None] = lambda step, steps: None,
    report: Callable[[Epoch], None] = lambda epoch: None,
) -> tuple[list[Epoch], int]:
    """Tune a model in place; it ends with the weights of its best epoch.

    Args:
        model: What is tuned.
        train: Collections; no batch mixes two of them.
        dev: Files that choose the epoch, by the mean of their Spearman correlations.
        settings: How.
        advance: Called after each step with the number of steps done and that of all.
        report: Called with each epoch.

    Returns:
        All epochs, and the number of the best.

    Raises:
        RuntimeError: The loss is no finite number any more.
    """
    torch.manual_seed(settings.seed)
    order = [
        BucketBatches(
            [len(a) + len(b) for a, b in zip(pairs.sentences1, pairs.sentences2, strict=True)],
            batch_size=settings.batch_size,
            seed=settings.seed,
        )
        for pairs in train
    ]
    targets = [torch.tensor(pairs.scaled_targets()) for pairs in train]
    steps = settings.epochs * sum(map(len, order))
    optimizer = _optimizer(model, settings)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: learning_rate_factor(
            min(step, steps - 1), total_steps=steps, warmup_fraction=settings.warmup_fraction, kind="linear"
        ),
    )
    epochs = [_measure(model, dev, settings, number=0, loss=None)]
    report(epochs[0])
    best, best_state = 0, _copy(model)
    done = 0
    for number in range(settings.epochs):
        model.module.train()
        losses: list[float] = []
        for source, rows, swapped in _batches(order, settings.seed, number):
            first = [train[source].sentences1[row] for row in rows]
            second = [train[source].sentences2[row] for row in rows]
            if swapped:
                first, second = second, first
            gold = targets[source][rows].to(next(model.module.parameters()).device)
            with torch.autocast(gold.device.type, torch.bfloat16, enabled=settings.bfloat16):
                loss = model.loss(first, second, gold)
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise RuntimeError(f"the loss of step {done + 1} is {losses[-1]}; try a lower learning rate")
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.module.parameters(), settings.max_gradient_norm)
            optimizer.step()
            rate.step()
            optimizer.zero_grad()
            done += 1
            advance(done, steps)
        epochs.append(_measure(model, dev, settings, number=number + 1, loss=sum(losses) / len(losses)))
        report(epochs[-1])
        if epochs[-1].selection > epochs[best].selection:
            best, best_state = number + 1, _copy(model)
    model.module.load_state_dict(best_state)
    return epochs, best


def _batches(order: Sequence[BucketBatches], seed: int, epoch: int) -> Iterator[tuple[int, list[int], bool]]:
    """Yield the collection and the rows of each batch of all collections, and whether its pairs are turned round."""
    batches = [(source, rows) for source, batches in enumerate(order) for rows in batches.epoch(epoch)]
    generator = np.random.default_rng([seed, epoch, len(batches)])
    for index in generator.permutation(len(batches)):
        yield (*batches[index], bool(generator.random() < 0.5))


def _optimizer(model: PairModel, settings: Tuning) -> torch.optim.Optimizer:
    decayed = [weight for weight in model.module.parameters() if weight.ndim > 1]
    free = [weight for weight in model.module.parameters() if weight.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)  # the table has 30,000 rows


def _measure(model: PairModel, dev: Sequence[PairData], settings: Tuning, *, number: int, loss: float | None) -> Epoch:
    scores = [
        score_pairs(model, pairs.sentences1, pairs.sentences2, bfloat16=settings.bfloat16).numpy() for pairs in dev
    ]
    measured = [(score, pairs.scaled_targets()) for pairs, score in zip(dev, scores, strict=True)]
    return Epoch(
        number=number,
        loss=loss,
        spearman=[spearman(score, gold) for score, gold in measured],
        pearson=[pearson(score, gold) for score, gold in measured],
    )


def _copy(model: PairModel) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.module.state_dict().items()}
