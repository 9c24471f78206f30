"""Pair heads: two embeddings become a score. Each gives the same score for (u, v) and (v, u).

Scores are never in 16 bits, whatever autocast does to the products before them: bfloat16 has 128 values between two
powers of two, so that a thousand pairs would share a few dozen scores, and ranks and thresholds would mean little.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from simlstm.models.config import ActivationName, ModelConfig
from simlstm.models.normalization import normalize_rows

_ACTIVATIONS: dict[ActivationName, type[nn.Module]] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


@dataclass(frozen=True, slots=True)
class HeadOutput:
    """What a head says about P pairs.

    Attributes:
        score: float32 (float64 from float64) [P], higher is more similar.
        class_log_probabilities: The same dtype, [P, K], from a head with classes, else None.
    """

    score: Tensor
    class_log_probabilities: Tensor | None = None


def _wide(values: Tensor) -> Tensor:
    """Return 16-bit values as float32, others as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


class CosineHead(nn.Module):
    """The cosine of the angle between two embeddings, in [-1, 1]; 0 where one of them is the zero vector."""

    def forward(self, u: Tensor, v: Tensor) -> HeadOutput:
        """Score pairs.

        Args:
            u: Embeddings [P, D].
            v: Embeddings [P, D].

        Returns:
            Scores in [-1, 1] (up to rounding), no classes.
        """
        return HeadOutput((normalize_rows(_wide(u)) * normalize_rows(_wide(v))).sum(dim=-1))


class ManhattanHead(nn.Module):
    """exp(-|u - v|_1), in (0, 1] (Mueller & Thyagarajan 2016, MaLSTM)."""

    def forward(self, u: Tensor, v: Tensor) -> HeadOutput:
        """Score pairs.

        Args:
            u: Embeddings [P, D].
            v: Embeddings [P, D].

        Returns:
            Scores in (0, 1] (0 where the exponential underflows), no classes.
        """
        return HeadOutput(torch.exp(-(_wide(u) - _wide(v)).abs().sum(dim=-1)))


class MLPHead(nn.Module):
    """A small network over |u - v| and u*v that spreads probability over graded classes (Tai et al. 2015, section 4.2).

    The score is the expected class 0..K-1 divided by K-1; with two classes it is the probability of the second.

    Args:
        embedding_size: Width D of an embedding.
        hidden_size: Hidden units.
        classes: Number K of classes, 2 or more.
        activation: Nonlinearity of the hidden units.
        dropout: Probability of zeroing a hidden unit in training.
    """

    def __init__(
        self, embedding_size: int, *, hidden_size: int, classes: int, activation: ActivationName, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * embedding_size, hidden_size),
            _ACTIVATIONS[activation](),
            nn.Dropout(dropout),
            nn.Linear(hidden_size, classes),
        )

    def forward(self, u: Tensor, v: Tensor) -> HeadOutput:
        """Score pairs.

        Args:
            u: Embeddings [P, D].
            v: Embeddings [P, D].

        Returns:
            Scores in [0, 1] and the logarithms of the class probabilities, [P, K].
        """
        logits = _wide(self.layers(torch.cat([(u - v).abs(), u * v], dim=-1)))
        log_probabilities = F.log_softmax(logits, dim=-1)
        grades = torch.linspace(0.0, 1.0, logits.shape[-1], device=logits.device, dtype=log_probabilities.dtype)
        score = (log_probabilities.exp() * grades).sum(dim=-1)
        return HeadOutput(score, log_probabilities)


def build_head(config: ModelConfig, embedding_size: int) -> nn.Module:
    """Build the head that a configuration names.

    Args:
        config: The model's configuration.
        embedding_size: Width D of the embeddings that the head will see.

    Returns:
        A module that is called with u and v, both [P, D], and returns a ``HeadOutput``.
    """
    match config.head:
        case "cosine":
            return CosineHead()
        case "manhattan":
            return ManhattanHead()
        case "mlp":
            return MLPHead(
                embedding_size,
                hidden_size=config.head_hidden_size,
                classes=config.classes,
                activation=config.head_activation,
                dropout=config.head_dropout,
            )
