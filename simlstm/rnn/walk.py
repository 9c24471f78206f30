"""The order in which a packed batch is walked.

A packed batch is time-major: all first tokens, then all second tokens, and so on. Sequences are sorted longest
first, so that step t holds the rows of the first ``batch_sizes[t]`` sequences and no padding exists.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class PackedWalk:
    """Where each row of a packed batch stands, and where its neighbours in time stand.

    Rows of the *state buffer* are the B initial states followed by the N packed rows, so that the state before step t
    of sequence b always exists: for step 0 it is row b.

    Attributes:
        batch_sizes: T numbers, never growing: how many sequences still run at each step.
        device: where the row indices are needed.
    """

    batch_sizes: tuple[int, ...]
    device: torch.device

    @property
    def sequences(self) -> int:
        """Return B, the number of sequences."""
        return self.batch_sizes[0]

    @property
    def rows(self) -> int:
        """Return N, the number of packed rows: the sum of all lengths."""
        return sum(self.batch_sizes)

    @cached_property
    def is_even(self) -> bool:
        """Return whether all sequences have the same length: then the packed layout is a [T, B] grid."""
        return self.batch_sizes[-1] == self.batch_sizes[0]

    @cached_property
    def _steps_and_sequences(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return step [N] and sequence [N] of each row, first row of each step [T], and length [B], all int64."""
        sizes = torch.tensor(self.batch_sizes, dtype=torch.int64)
        offsets = sizes.cumsum(0) - sizes
        steps = torch.repeat_interleave(torch.arange(len(self.batch_sizes)), sizes)
        sequences = torch.arange(self.rows) - offsets[steps]
        # A sequence is as long as there are steps with more than `sequence` rows; -sizes ascends, as the search needs.
        lengths = torch.searchsorted(-sizes, -torch.arange(self.sequences), right=False)
        return steps, sequences, offsets, lengths

    @cached_property
    def reversal(self) -> Tensor:
        """Return the row [N] int64 that stands in each row's place when every sequence is read backward.

        It is its own inverse.
        """
        steps, sequences, offsets, lengths = self._steps_and_sequences
        return (offsets[lengths[sequences] - 1 - steps] + sequences).to(self.device)

    @cached_property
    def before(self) -> Tensor:
        """Return the row [N] int64 of the state buffer that holds the state before each packed row."""
        steps, sequences, offsets, _ = self._steps_and_sequences
        block_starts = torch.cat([torch.zeros(1, dtype=torch.int64), offsets[:-1] + self.sequences])
        return (block_starts[steps] + sequences).to(self.device)

    @cached_property
    def last(self) -> Tensor:
        """Return the row [B] int64 of the state buffer that holds each sequence's final state."""
        _, _, offsets, lengths = self._steps_and_sequences
        return (offsets[lengths - 1] + torch.arange(self.sequences) + self.sequences).to(self.device)
