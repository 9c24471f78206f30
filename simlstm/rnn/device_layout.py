"""Padded batches whose lengths are on the device: nothing is packed, and the host never waits to know them."""

import torch
from torch import Tensor

from simlstm.rnn.device_walk import DeviceWalk
from simlstm.rnn.layouts import States


class DeviceLayout:
    """Padded sequences of any length, 0 among them, as rows with gaps.

    A length below 0 counts as 0, one beyond T as T: to refuse it, the host would have to wait for it.

    Args:
        x: [T, B, I], or [B, T, I] when batch_first; T and B at least 1.
        lengths: [B] int64 on the device of x, in any order.
        batch_first: whether x and the output are [B, T, *].
        dtype: of outputs and final states.

    Attributes:
        rows: [T * B, I], the rows of x in their order, zeros behind each length.
        walk: the layout of the rows.
        sequences: B.
    """

    def __init__(self, x: Tensor, lengths: Tensor, batch_first: bool, dtype: torch.dtype) -> None:
        self._shape, self._dtype = x.shape[:2], dtype
        self.sequences = lengths.shape[0]
        steps = x.shape[1 if batch_first else 0]
        self.walk, self._order = DeviceWalk.of_padded(lengths, steps, batch_first=batch_first)
        step = torch.arange(steps, device=x.device)
        is_behind = step >= lengths[:, None] if batch_first else step[:, None] >= lengths
        self.rows = x.masked_fill(is_behind[..., None], 0).flatten(0, 1)

    def arranged(self, states: States) -> States:
        """Return the states of all sequences, longest first."""
        return tuple(state.index_select(1, self._order) for state in states)

    def output(self, rows: Tensor) -> Tensor:
        """Return rows in the layout of x, zeros behind each length."""
        return rows.to(self._dtype).view(*self._shape, rows.shape[1])

    def restored(self, final: States, initial: States) -> States:
        """Return final states in the caller's order."""
        back = self._order.argsort()
        return tuple(state.to(self._dtype).index_select(1, back) for state in final)
