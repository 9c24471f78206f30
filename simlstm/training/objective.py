"""The training objective: a weighted sum of losses, and which loss fits which head and which data."""

from collections.abc import Collection, Mapping
from typing import Literal

from torch import Tensor

from simlstm.models.siamese import PairOutput
from simlstm.training import losses
from simlstm.training.config import LossConfig
from simlstm.training.config_file import ConfigError

Kind = Literal["graded", "binary", "positive"]
Head = Literal["cosine", "manhattan", "mlp"]

DATA_OF_LOSS: Mapping[str, tuple[Kind, ...]] = {
    "mse": ("graded", "binary"),
    "kl": ("graded", "binary"),
    "bce": ("graded", "binary"),
    "contrastive": ("binary",),
    "cosent": ("graded", "binary"),
    "multiple_negatives": ("binary", "positive"),
}
DEFAULT_LOSS: Mapping[Head, str] = {"mlp": "kl", "cosine": "cosent", "manhattan": "mse"}
THROUGH_HEAD = frozenset({"mse", "kl", "bce"})


class Objective:
    """The losses that a configuration asks for, checked against head and data.

    Args:
        config: Weights and settings of the losses.
        head: Form of the pair head.
        kinds: Of the data.
        trains_head: Whether nothing else trains the head, so that these losses must.

    Attributes:
        weights: The active losses and their weights.

    Raises:
        ConfigError: When a loss fits neither the head nor any data, when data has no loss, or when the losses would
            leave the mlp head untrained; each with the reason.
    """

    def __init__(self, config: LossConfig, *, head: Head, kinds: Collection[Kind], trains_head: bool = True) -> None:
        self.config = config
        default = "multiple_negatives" if set(kinds) == {"positive"} else DEFAULT_LOSS[head]
        self.weights = config.weights.active() or {default: 1.0}
        for name in self.weights:
            _check_head(name, head)
            if not set(DATA_OF_LOSS[name]) & set(kinds):
                raise ConfigError(
                    f"[loss] {name}: needs {' or '.join(DATA_OF_LOSS[name])} data; the training sources are "
                    f"{', '.join(sorted(set(kinds)))}"
                )
        for kind in sorted(set(kinds)):
            if not self.applicable(kind):
                fitting = [name for name, allowed in DATA_OF_LOSS.items() if kind in allowed]
                raise ConfigError(
                    f"[loss] weights: no loss for the {kind} training data; got {', '.join(self.weights)}; "
                    f"allowed for it: {', '.join(fitting)}"
                )
        if trains_head and head == "mlp" and not THROUGH_HEAD & set(self.weights):
            raise ConfigError(
                f"[loss] weights: {', '.join(self.weights)} would leave the mlp head untrained, and its score random; "
                "add kl, mse or bce, or choose model.head = 'cosine'"
            )

    def __call__(self, output: PairOutput, targets: Tensor, groups: Tensor | None, kind: Kind) -> dict[str, Tensor]:
        """Compute the losses of one batch, in float32 whatever the model's precision.

        Args:
            output: What the model says about P pairs.
            targets: [P] in [0, 1].
            groups: [P] int64; pairs of one group are not each other's negatives.
            kind: Of the source that the batch comes from.

        Returns:
            Each applicable loss by name, unweighted, and the weighted sum as ``loss``.
        """
        terms = {name: self._term(name, output, targets, groups, kind) for name in self.applicable(kind)}
        total = sum((self.weights[name] * value for name, value in terms.items()), start=targets.new_zeros(()))
        return {"loss": total, **terms}

    def applicable(self, kind: Kind) -> list[str]:
        """Return the names of the active losses for a kind of data."""
        return [name for name in self.weights if kind in DATA_OF_LOSS[name]]

    def _term(self, name: str, output: PairOutput, targets: Tensor, groups: Tensor | None, kind: Kind) -> Tensor:
        """Compute one loss."""
        first, second, score = output.embeddings1.float(), output.embeddings2.float(), output.score.float()
        match name:
            case "mse":
                return losses.mean_squared_error(score, targets)
            case "kl":
                assert output.class_log_probabilities is not None  # noqa: S101 - _check_head saw to it
                return losses.kl_on_classes(output.class_log_probabilities.float(), targets)
            case "bce":
                if output.class_log_probabilities is None:
                    log_odds = losses.log_odds_of_distance(first, second)
                else:
                    log_odds = losses.log_odds_of_classes(output.class_log_probabilities.float())
                return losses.binary_cross_entropy(*log_odds, targets)
            case "contrastive":
                return losses.contrastive(first, second, targets, margin=self.config.contrastive_margin)
            case "cosent":
                return losses.cosent(first, second, targets, scale=self.config.cosent_scale)
            case "multiple_negatives":
                # Only the pairs that say the same are anchors and partners.
                similar = targets == 1 if kind == "binary" else None
                temperature = self.config.temperature
                return losses.multiple_negatives(first, second, groups, temperature=temperature, partners=similar)
        raise AssertionError(name)


def _check_head(name: str, head: Head) -> None:
    """Refuse a loss whose input the head does not give."""
    if name == "kl" and head != "mlp":
        raise ConfigError(f"[loss] kl: needs the class probabilities of model.head = 'mlp'; the head is {head!r}")
    if name == "bce" and head == "cosine":
        raise ConfigError(
            "[loss] bce: a cosine lies in [-1, 1] and is no probability; use model.head = 'mlp' or 'manhattan', "
            "or contrastive or cosent"
        )
