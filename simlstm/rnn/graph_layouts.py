"""Layouts for a graph that is being made: what a batch holds is not known yet, only its shape."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from simlstm.rnn.layouts import States, permuted
from simlstm.rnn.precision import in_dtype


class WalkAtRuntime(NamedTuple):
    """What an operator finds out the walk from, when it runs; neither when all sequences are T long.

    Attributes:
        lengths: [B] int64 on the CPU, beside rows [T, B, I].
        batch_sizes: [T] int64 on the CPU, beside packed rows [N, I].
    """

    lengths: Tensor | None = None
    batch_sizes: Tensor | None = None


class GraphLayout(Protocol):
    """One batch, as the operator of a layer takes it.

    Attributes:
        rows: [T, B, I], or packed rows [N, I].
        walk: what the operator is given beside them.
        sequences: B.
    """

    rows: Tensor
    walk: WalkAtRuntime
    sequences: int

    def arranged(self, states: States) -> States:
        """Return the caller's states [*, B, width] as the operator takes them."""

    def output(self, rows: Tensor) -> Tensor | PackedSequence:
        """Return the operator's y in the caller's layout."""

    def restored(self, final: States, initial: States) -> States:
        """Return the operator's final states in the caller's order."""


class PaddedGraphLayout:
    """Padded sequences, with lengths or without.

    Args:
        x: [T, B, I], or [B, T, I] when batch_first.
        lengths: [B] int64 on the CPU, or None.
        batch_first: whether output is [B, T, *].
        dtype: of outputs and final states.
    """

    def __init__(self, x: Tensor, lengths: Tensor | None, batch_first: bool, dtype: torch.dtype) -> None:
        self.rows = x.transpose(0, 1) if batch_first else x
        self.walk = WalkAtRuntime(lengths=lengths)
        self.sequences = self.rows.shape[1]
        self._batch_first, self._dtype = batch_first, dtype

    def arranged(self, states: States) -> States:
        """Return the states as they are: the operator arranges them."""
        return states

    def output(self, rows: Tensor) -> Tensor:
        """Return [T, B, width] in the layout of x."""
        y = in_dtype(rows, self._dtype)
        return y.transpose(0, 1) if self._batch_first else y

    def restored(self, final: States, initial: States) -> States:
        """Return final states in the caller's dtype."""
        return tuple(in_dtype(state, self._dtype) for state in final)


class UnbatchedGraphLayout(PaddedGraphLayout):
    """One sequence [T, I], whose states [*, width] have no B.

    Args:
        x: [T, I].
        dtype: of outputs and final states.
    """

    def __init__(self, x: Tensor, dtype: torch.dtype) -> None:
        super().__init__(x.unsqueeze(1), None, False, dtype)

    def output(self, rows: Tensor) -> Tensor:
        """Return [T, width]."""
        return super().output(rows).squeeze(1)

    def restored(self, final: States, initial: States) -> States:
        """Return final states without B."""
        return tuple(state.squeeze(1) for state in super().restored(final, initial))


class PackedGraphLayout:
    """A PackedSequence whose batch sizes are not read.

    Args:
        input: data [N, I].
        states: the caller's, which say how many sequences there are when the PackedSequence does not; or None.
    """

    def __init__(self, input: PackedSequence, states: Sequence[Tensor] | None) -> None:
        self.rows, self._batch_sizes, self._sorted_indices, self._unsorted_indices = input
        self.walk = WalkAtRuntime(batch_sizes=self._batch_sizes)
        if self._sorted_indices is not None:
            self.sequences = self._sorted_indices.shape[0]
        elif states is not None:
            self.sequences = states[0].shape[1]
        else:
            self.sequences = torch.ops.simlstm.packed_order(self._batch_sizes).shape[0]

    def arranged(self, states: States) -> States:
        """Return the caller's states in packed order."""
        return permuted(states, self._sorted_indices)

    def output(self, rows: Tensor) -> PackedSequence:
        """Return packed rows as a PackedSequence."""
        return PackedSequence(rows, self._batch_sizes, self._sorted_indices, self._unsorted_indices)

    def restored(self, final: States, initial: States) -> States:
        """Return final states in the caller's order."""
        return permuted(final, self._unsorted_indices)


def _packed_order(batch_sizes: Tensor) -> Tensor:
    return torch.arange(int(batch_sizes[0]))


def _packed_order_fake(batch_sizes: Tensor) -> Tensor:
    return batch_sizes.new_empty(torch.library.get_ctx().new_dynamic_size())


# The places of the sequences of a packed batch, [B]: an operator, so that a graph can have a B that it does not know.
torch.library.define("simlstm::packed_order", "(Tensor batch_sizes) -> Tensor", tags=torch.Tag.pt2_compliant_tag)
torch.library.impl("simlstm::packed_order", "CompositeExplicitAutograd", _packed_order)
torch.library.register_fake("simlstm::packed_order", _packed_order_fake)
