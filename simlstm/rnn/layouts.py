"""The ways in which a caller lays out a batch, each brought to packed rows and back.

Recurrent layers compute on packed rows [N, I], and on states in packed order: sequences longest first, empty ones
left out. A layout knows the way there and the way back; README.md draws the packed rows.
"""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from simlstm.rnn.device_walk import DeviceWalk
from simlstm.rnn.walk import PackedWalk

States = tuple[Tensor, ...]


class Layout(Protocol):
    """One batch as packed rows.

    Attributes:
        rows: [N, I], the packed rows.
        sequences: B, for how many sequences the caller has states.
    """

    rows: Tensor
    sequences: int

    @property
    def walk(self) -> PackedWalk | DeviceWalk:
        """Return where the rows stand."""

    def arranged(self, states: States) -> States:
        """Return the caller's states [*, B, width] in packed order."""

    def output(self, rows: Tensor) -> Tensor | PackedSequence:
        """Return packed rows [N, width] in the caller's layout."""

    def restored(self, final: States, initial: States) -> States:
        """Return final states in the caller's order; ``initial`` are his, for sequences that have no step."""


class PackedLayout:
    """A PackedSequence: the rows as they are, states permuted when the caller's order is another.

    Args:
        input: data [N, I].

    Raises:
        ValueError: batch_sizes do not describe the rows.
    """

    def __init__(self, input: PackedSequence) -> None:
        self.rows, self._batch_sizes, self._sorted_indices, self._unsorted_indices = input
        self.walk = PackedWalk(tuple(self._batch_sizes.tolist()), self.rows.device)
        if self.walk.rows != self.rows.shape[0]:
            raise ValueError(
                f"batch_sizes must sum to the {self.rows.shape[0]} packed rows, got a sum of {self.walk.rows}"
            )
        self.sequences = self.walk.sequences

    def arranged(self, states: States) -> States:
        """Return the caller's states in packed order."""
        return permuted(states, self._sorted_indices)

    def output(self, rows: Tensor) -> PackedSequence:
        """Return packed rows as a PackedSequence."""
        return PackedSequence(rows, self._batch_sizes, self._sorted_indices, self._unsorted_indices)

    def restored(self, final: States, initial: States) -> States:
        """Return final states in the caller's order."""
        return permuted(final, self._unsorted_indices)


class PaddedLayout:
    """Sequences of equal length: a plain grid of packed rows.

    Args:
        x: [T, B, I], or [B, T, I] when batch_first.
        batch_first: whether output is [B, T, *].
        dtype: of outputs and final states.

    Raises:
        RuntimeError: T is 0; torch's message.
    """

    def __init__(self, x: Tensor, batch_first: bool, dtype: torch.dtype) -> None:
        if batch_first:
            x = x.transpose(0, 1)
        self._steps, self.sequences, _ = x.shape  # [T, B, I]
        if self._steps == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        self._batch_first, self._dtype = batch_first, dtype
        self.rows = x.flatten(0, 1)
        self.walk = PackedWalk((self.sequences,) * self._steps, x.device)

    def arranged(self, states: States) -> States:
        """Return the states as they are."""
        return states

    def output(self, rows: Tensor) -> Tensor:
        """Return rows as [T, B, width], or [B, T, width] when batch_first."""
        y = rows.to(self._dtype).view(self._steps, self.sequences, rows.shape[1])
        return y.transpose(0, 1) if self._batch_first else y

    def restored(self, final: States, initial: States) -> States:
        """Return final states in the caller's dtype."""
        return tuple(state.to(self._dtype) for state in final)


class UnbatchedLayout(PaddedLayout):
    """One sequence [T, I], whose states [*, width] have no B.

    Args:
        x: [T, I].
        dtype: of outputs and final states.
    """

    def __init__(self, x: Tensor, dtype: torch.dtype) -> None:
        super().__init__(x.unsqueeze(1), False, dtype)

    def output(self, rows: Tensor) -> Tensor:
        """Return rows as they are, [T, width]."""
        return rows.to(self._dtype)

    def restored(self, final: States, initial: States) -> States:
        """Return final states without B."""
        return tuple(state.squeeze(1).to(self._dtype) for state in final)


def permuted(states: States, permutation: Tensor | None) -> States:
    """Return states [*, B, width] with their sequences in another order; as they are when it is None."""
    return states if permutation is None else tuple(state.index_select(1, permutation) for state in states)
