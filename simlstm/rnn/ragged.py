"""Where the rows of a padded batch stand once its sequences are sorted and its padding is left out."""

from collections.abc import Sequence

import torch
from torch import Tensor

from simlstm.rnn.walk import PackedWalk


class RaggedRows:
    """The packed order of a padded batch whose sequences have any length from 0 to T.

    Args:
        lengths: [B] int64 on the CPU.
        shape: the padded batch: (B, T) when batch_first, else (T, B).
        device: where the row numbers are needed.
        batch_first: which of the two.

    Attributes:
        order: [B] int64, the sequences longest first; equal lengths in the caller's order, empty ones last.
        places: [N] int64, where each packed row stands among the T * B rows of the padded batch.
        walk: the packed rows. When no sequence has a step it is one step of no sequence.

    Raises:
        ValueError: a length is negative or greater than T.
    """

    def __init__(self, lengths: Tensor, shape: Sequence[int], device: torch.device, *, batch_first: bool) -> None:
        sequences, steps = shape if batch_first else reversed(shape)
        ordered, order = lengths.sort(descending=True, stable=True)
        if sequences > 0 and (int(ordered[-1]) < 0 or int(ordered[0]) > steps):
            raise ValueError(f"lengths must lie between 0 and the {steps} steps of the input, got {lengths.tolist()}")
        longest = int(ordered[0]) if sequences > 0 else 0
        runs = torch.arange(longest).unsqueeze(1) < ordered  # [longest, B], in packed order when read row by row
        stride_of_step, stride_of_sequence = (1, steps) if batch_first else (sequences, 1)
        grid = torch.arange(longest).unsqueeze(1) * stride_of_step + order * stride_of_sequence
        self.order = order.to(device)
        self.places = grid[runs].to(device)
        self.walk = PackedWalk(tuple(runs.sum(1).tolist()) or (0,), device)


def check_lengths(lengths: Tensor, sequences: int) -> None:
    """Refuse lengths that can be seen to be wrong without reading them.

    Args:
        lengths: to be [B] int64 on the CPU.
        sequences: B.

    Raises:
        ValueError: they are something else.
    """
    if not isinstance(lengths, Tensor):
        raise ValueError(f"lengths must be an int64 tensor on the CPU, got {type(lengths).__name__}")
    if lengths.dtype != torch.int64 or lengths.device.type != "cpu":
        raise ValueError(f"lengths must be int64 on the CPU, got {lengths.dtype} on {lengths.device}")
    if lengths.shape != (sequences,):
        raise ValueError(f"lengths must hold one number for each of {sequences} sequences, got {list(lengths.shape)}")
