"""Padded batches with lengths: sorted, and their padding left out, without the caller's help."""

import torch
from torch import Tensor
from torch.nn import functional as F

from simlstm.rnn.device_walk import on_device
from simlstm.rnn.layouts import Layout, PaddedLayout, States
from simlstm.rnn.walk import PackedWalk


def layout_of(x: Tensor, lengths: Tensor, batch_first: bool, dtype: torch.dtype) -> Layout:
    """Return the layout of padded sequences of given lengths, which are read: a device is waited for.

    Args:
        x: [T, B, I], or [B, T, I] when batch_first.
        lengths: [B] int64 on the CPU or on the device of x, in any order.
        batch_first: whether x and the output are [B, T, *].
        dtype: of outputs and final states.

    Returns:
        Layout: output has zeros behind each length; the final states of a sequence without a step are its initial ones.

    Raises:
        ValueError: a length is negative or greater than T.
    """
    steps = x.shape[1 if batch_first else 0]
    lengths = lengths.to("cpu")
    values = lengths.tolist()
    shortest, longest = (min(values), max(values)) if values else (0, 0)
    if shortest < 0 or longest > steps:
        raise ValueError(f"lengths must lie between 0 and the {steps} steps of the input, got {values}")
    if 0 < shortest == longest:
        return CutLayout(x, longest, batch_first, dtype)
    return RaggedLayout(x, lengths, longest, batch_first, dtype)


def check_lengths(lengths: Tensor, sequences: int, device: torch.device) -> None:
    """Refuse lengths that can be seen to be wrong without reading them.

    Args:
        lengths: to be [B] int64 on the CPU or on the device of the input.
        sequences: B.
        device: of the input.

    Raises:
        ValueError: they are something else.
    """
    if not isinstance(lengths, Tensor):
        raise ValueError(f"lengths must be an int64 tensor, got {type(lengths).__name__}")
    if lengths.dtype != torch.int64 or (lengths.device.type != "cpu" and lengths.device != device):
        places = "the CPU" if device.type == "cpu" else f"the CPU or {device}"
        raise ValueError(f"lengths must be int64 on {places}, got {lengths.dtype} on {lengths.device}")
    if lengths.shape != (sequences,):
        raise ValueError(f"lengths must hold one number for each of {sequences} sequences, got {list(lengths.shape)}")


class CutLayout(PaddedLayout):
    """Sequences that are all of one length, as a single one always is: nothing to sort, nothing to gather.

    Args:
        x: [T, B, I], or [B, T, I] when batch_first.
        length: of every sequence, at least 1.
        batch_first: whether x and the output are [B, T, *].
        dtype: of outputs and final states.
    """

    def __init__(self, x: Tensor, length: int, batch_first: bool, dtype: torch.dtype) -> None:
        steps = 1 if batch_first else 0
        super().__init__(x.narrow(steps, 0, length), batch_first, dtype)
        behind = x.shape[steps] - length
        self._padding = (0, 0, 0, behind) if batch_first else (0, 0, 0, 0, 0, behind)

    def output(self, rows: Tensor) -> Tensor:
        """Return rows in the layout of x, zeros behind the length."""
        y = super().output(rows)
        return F.pad(y, self._padding) if any(self._padding) else y


class RaggedLayout:
    """Sequences of any length, 0 among them.

    Rows are packed longest sequence first, equal lengths in the caller's order, so that those without a step come
    last. When no sequence has a step, the walk is one step of no sequence.

    Args:
        x: [T, B, I], or [B, T, I] when batch_first.
        lengths: [B] int64 on the CPU, each between 0 and T.
        longest: the greatest of them.
        batch_first: whether x and the output are [B, T, *].
        dtype: of outputs and final states.
    """

    def __init__(self, x: Tensor, lengths: Tensor, longest: int, batch_first: bool, dtype: torch.dtype) -> None:
        self._shape, self._dtype = x.shape[:2], dtype
        stride_of_step, stride_of_sequence = (1, x.shape[1]) if batch_first else (x.shape[1], 1)
        ordered, order = lengths.sort(descending=True, stable=True)
        steps = torch.arange(longest, device="cpu").unsqueeze(1)
        runs = steps < ordered  # [longest, B]: read row by row, the packed rows
        places = (steps * stride_of_step + order * stride_of_sequence)[runs]
        self.sequences = lengths.shape[0]
        self.walk = PackedWalk(tuple(runs.sum(1).tolist()) or (0,), x.device)
        self._order, self._places = on_device((order, places), x.device)
        self.rows = x.flatten(0, 1).index_select(0, self._places)

    def arranged(self, states: States) -> States:
        """Return the states of sequences that have a step, in packed order."""
        return tuple(state.index_select(1, self._order[: self.walk.sequences]) for state in states)

    def output(self, rows: Tensor) -> Tensor:
        """Return rows in the layout of x, zeros behind each length."""
        y = rows.new_zeros(self._shape.numel(), rows.shape[1], dtype=self._dtype)
        return y.index_copy(0, self._places, rows.to(self._dtype)).view(*self._shape, rows.shape[1])

    def restored(self, final: States, initial: States) -> States:
        """Return final states in the caller's order; of sequences without a step, the initial ones."""
        stepless, back = self._order[self.walk.sequences :], self._order.argsort()
        return tuple(
            torch.cat([last.to(self._dtype), first.index_select(1, stepless).to(self._dtype)], 1).index_select(1, back)
            for last, first in zip(final, initial, strict=True)
        )
