"""The order in which a packed batch is walked.

A packed batch is time-major: all first rows, then all second rows, and so on. Sequences are sorted longest first, so
that step t holds the rows of the first ``batch_sizes[t]`` sequences and no padding exists. README.md draws it.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from simlstm.rnn.device_walk import DeviceWalk, on_device


@dataclass(frozen=True)
class PackedWalk:
    """Where each row of a packed batch stands, and where its neighbours in time stand.

    Rows of a *state buffer* are the B initial states followed by the N packed rows, so that the state before step t
    always exists: before step 0 it is one of the first B rows.

    Attributes:
        batch_sizes: T numbers that never grow: how many sequences still run at each step.
        device: where the row numbers are needed.

    Raises:
        ValueError: there is no step, a step runs more sequences than the step before it, or fewer than none.
    """

    batch_sizes: tuple[int, ...]
    device: torch.device

    def __post_init__(self) -> None:
        if not self.batch_sizes:
            raise ValueError("batch_sizes must hold at least one step, got none")
        if self.batch_sizes[-1] < 0:
            raise ValueError(f"batch_sizes must not be negative, got {self.batch_sizes[-1]} in the last step")
        for step, (before, after) in enumerate(pairwise(self.batch_sizes), start=1):
            if after > before:
                raise ValueError(f"batch_sizes must never grow, got {before} then {after} at step {step}")

    @property
    def sequences(self) -> int:
        """B, the number of sequences."""
        return self.batch_sizes[0]

    @cached_property
    def rows(self) -> int:
        """N, the number of packed rows: the sum of all lengths."""
        return sum(self.batch_sizes)

    @property
    def is_even(self) -> bool:
        """Whether all sequences are equally long: then the packed layout is a plain [T, B] grid."""
        return self.batch_sizes[-1] == self.batch_sizes[0]

    @cached_property
    def reversal(self) -> Tensor:
        """The row [N] int64 that stands in each row's place when every sequence is read backward; its own inverse."""
        if self.is_even:
            grid = torch.arange(self.rows, device=self.device).view(len(self.batch_sizes), self.sequences)
            return grid.flip(0).flatten()
        steps, sequences = self._step_and_sequence
        offsets, lengths = self._offset_and_length
        return (offsets[lengths[sequences] - 1 - steps] + sequences).to(self.device)

    def before(self, states: Tensor) -> Tensor:
        """Return the state before each packed row, [D, N, *], from a state buffer [D, B + N, *]."""
        return states[:, : self.rows] if self.is_even else states.index_select(1, self._rows_before)

    def last(self, states: Tensor) -> Tensor:
        """Return the final state of each sequence, [D, B, *], from a state buffer [D, B + N, *]; never a view."""
        return states.index_select(1, self._last_rows + self.sequences)

    def add_to_last_(self, rows: Tensor, final: Tensor) -> None:
        """Add final [D, B, *] to the last row of each sequence in packed rows [D, N, *], in place."""
        rows.index_add_(1, self._last_rows, final)

    def steps(self, rows: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
        """Cut packed rows, N along ``dim``, into one view for each step."""
        return torch.split_with_sizes(rows, self.batch_sizes, dim)

    def steps_before(self, states: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
        """Cut a state buffer, B + N along ``dim``, into the states each step starts from: those of what still runs."""
        return torch.split_with_sizes(states, self._still_running_cuts, dim)[:-1:2]

    @cached_property
    def on_device(self) -> DeviceWalk:
        """The same layout in numbers on the device: one copy, for which the host does not wait."""
        steps = len(self.batch_sizes)
        if self.is_even:  # known without a copy, which a CUDA graph could not hold
            return DeviceWalk(
                offsets=torch.arange(steps, device=self.device) * self.sequences,
                places=None,
                lengths=torch.full((self.sequences,), steps, dtype=torch.int32, device=self.device),
                rows=self.rows,
                has_gaps=False,
            )
        offsets, lengths = self._offset_and_length
        (numbers,) = on_device([torch.cat([offsets, lengths])], self.device)
        return DeviceWalk(
            offsets=numbers[:steps],
            places=None,
            lengths=numbers[steps:].to(torch.int32),
            rows=self.rows,
            has_gaps=False,
        )

    @cached_property
    def _still_running_cuts(self) -> list[int]:
        """Sizes that cut each block of a state buffer into the sequences that run on and those that have ended."""
        cuts = [self.sequences, 0]
        for running, still_running in pairwise(self.batch_sizes):
            cuts += [still_running, running - still_running]
        return [*cuts, self.batch_sizes[-1]]

    @cached_property
    def _offset_and_length(self) -> tuple[Tensor, Tensor]:
        """The first row of each step [T], and the length of each sequence [B], int64 on the CPU."""
        sizes = torch.tensor(self.batch_sizes, dtype=torch.int64, device="cpu")
        # A sequence is as long as there are steps with more rows than its place; -sizes ascends, as the search needs.
        lengths = torch.searchsorted(-sizes, -torch.arange(self.sequences, device="cpu"))
        return sizes.cumsum(0) - sizes, lengths

    @cached_property
    def _step_and_sequence(self) -> tuple[Tensor, Tensor]:
        """The step and the sequence of each row, [N] int64 on the CPU."""
        offsets, _ = self._offset_and_length
        steps = torch.repeat_interleave(torch.tensor(self.batch_sizes, dtype=torch.int64, device="cpu"))
        return steps, torch.arange(self.rows, device="cpu") - offsets[steps]

    @cached_property
    def _rows_before(self) -> Tensor:
        """The row of the state buffer that holds the state before each packed row, [N] int64."""
        steps, sequences = self._step_and_sequence
        offsets, _ = self._offset_and_length
        block_starts = torch.cat([torch.zeros(1, dtype=torch.int64, device="cpu"), offsets[:-1] + self.sequences])
        return (block_starts[steps] + sequences).to(self.device)

    @cached_property
    def _last_rows(self) -> Tensor:
        """The packed row of each sequence's last step, [B] int64."""
        if self.is_even:
            return torch.arange(self.rows - self.sequences, self.rows, device=self.device)
        offsets, lengths = self._offset_and_length
        return (offsets[lengths - 1] + torch.arange(self.sequences, device="cpu")).to(self.device)
