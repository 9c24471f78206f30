"""What a candidate at the layer is, and what it must show before it is timed.

A candidate holds its input in the form it takes, prepared before anything is timed, and shows its results in one form,
so that they can be compared: rows [N, 2H] packed, states [2, B, H], gradients by parameter name, each with the number
of the batch in front.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from scripts.benchmarking.parity import GRADIENTS, OUTPUTS, check_close


@dataclass(frozen=True)
class Batch:
    """One batch and the gradient of the loss with respect to its output rows.

    Attributes:
        packed: data [N, I] float32, a leaf that asks for its gradient, as the output of an embedding would.
        lengths: [B] int64, longest first.
        gradient: [N, 2H] float32.
    """

    packed: PackedSequence
    lengths: Tensor
    gradient: Tensor


class Candidate(Protocol):
    """What is timed, and what it shows."""

    def infer(self) -> object:
        """Run every batch forward, as in inference."""

    def outputs(self) -> dict[str, Tensor]:
        """Show what inference computes; only what a user may rely on."""


class Trainable(Candidate, Protocol):
    """A candidate with a backward pass."""

    def step(self) -> object:
        """Run every batch forward and backward."""

    def gradients(self) -> dict[str, Tensor]:
        """Show the gradients of each batch."""


def check_candidates(candidates: Mapping[str, Candidate], reference: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the largest relative difference of each candidate's outputs, or refuse to go on.

    Raises:
        RuntimeError: when one is larger than ``OUTPUTS``.
    """
    return {
        name: check_close(name, candidate.outputs(), reference, allowed=OUTPUTS)
        for name, candidate in candidates.items()
    }


def check_gradients(candidates: Mapping[str, Trainable], reference: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the largest relative difference of each candidate's gradients, or refuse to go on.

    Raises:
        RuntimeError: when one is larger than ``GRADIENTS``.
    """
    return {
        name: check_close(name, candidate.gradients(), reference, allowed=GRADIENTS)
        for name, candidate in candidates.items()
    }
