"""Sums and maxima over the tokens of each sequence, on packed rows.

A packed batch (``torch.nn.utils.rnn.PackedSequence``) holds N rows, time-major and longest sequence first: the first
``batch_sizes[0]`` rows are the first tokens of all B sequences, the next ``batch_sizes[1]`` rows the second tokens of
those sequences that have one, and so on. Sequence b is therefore row b of every step that reaches it, and a reduction
over tokens is a walk over steps whose row blocks shrink: contiguous memory, no padding, no atomics. The walk adds the
tokens of a sequence in their order whatever else is in the batch, so its result is the same to the last bit.

Both reductions were chosen by measurement (2,959 rows of 512 float32 on one core): sum 0.4 ms forward and 0.4 ms
backward (``segment_reduce`` 2.7 and 2.8), maximum 0.3 ms and 0.8 ms (``scatter_reduce`` 0.8 and 8.4, ``segment_reduce``
3.3 and 4.4, ``embedding_bag`` 3.6 and 3.1). That was on the CPU; elsewhere ``simlstm.models.packed_grid`` takes over.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from simlstm.models.packed_grid import GridMaximum, grid_sum, is_better_on_grid
from simlstm.rnn.device_walk import on_device


def sequence_lengths(batch_sizes: Tensor) -> Tensor:
    """Count the tokens of each sequence.

    Args:
        batch_sizes: int64 [T] on the CPU, never growing.

    Returns:
        int64 [B] on the CPU, in the order of the packed batch (longest first).
    """
    sequences = torch.arange(int(batch_sizes[0]), device="cpu")
    return (batch_sizes[:, None] > sequences).sum(dim=0)


def sequence_of_rows(batch_sizes: Tensor, device: torch.device) -> Tensor:
    """Name the sequence that each packed row belongs to.

    Args:
        batch_sizes: int64 [T] on the CPU, never growing.
        device: Where the result is wanted.

    Returns:
        int64 [N], values in 0..B-1.
    """
    first_rows = batch_sizes.cumsum(0) - batch_sizes
    rows = torch.arange(int(batch_sizes.sum()), device="cpu")
    return on_device([rows - first_rows.repeat_interleave(batch_sizes)], device)[0]


class _PackedSum(torch.autograd.Function):
    """Sum over tokens; its gradient hands each token the gradient of its sequence."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, batch_sizes: Tensor) -> Tensor:
        """Walk the steps from the first to the last."""
        ctx.save_for_backward(batch_sizes)
        ctx.dtype = rows.dtype
        accumulated = torch.float32 if rows.dtype in (torch.float16, torch.bfloat16) else rows.dtype
        if is_better_on_grid(rows, batch_sizes):
            return grid_sum(rows, batch_sizes, accumulated)
        first, *later = rows.split_with_sizes(batch_sizes.tolist())
        total = first.to(accumulated, copy=True)
        for step in later:
            total[: len(step)] += step
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Spread the gradient of each sequence over its tokens."""
        (batch_sizes,) = ctx.saved_tensors
        (gradient,) = gradients
        return gradient.to(ctx.dtype).index_select(0, sequence_of_rows(batch_sizes, gradient.device)), None


class _PackedMaximum(torch.autograd.Function):
    """Maximum over tokens; its gradient goes to the first token that reaches the maximum."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, batch_sizes: Tensor) -> Tensor:
        """Walk the steps from the first to the last."""
        first, *later = rows.split_with_sizes(batch_sizes.tolist())
        maximum = first.clone()
        for step in later:
            reached = maximum[: len(step)]
            torch.maximum(reached, step, out=reached)
        ctx.save_for_backward(rows, maximum, batch_sizes)
        return maximum

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Hand each element's gradient to the first token that holds the maximum."""
        rows, maximum, batch_sizes = ctx.saved_tensors
        waiting = gradients[0].clone()  # what no token has taken yet
        result = torch.empty_like(rows)
        sizes = batch_sizes.tolist()
        for step, taken in zip(rows.split_with_sizes(sizes), result.split_with_sizes(sizes), strict=True):
            torch.eq(step, maximum[: len(step)], out=taken)
            taken *= waiting[: len(step)]
            waiting[: len(step)] -= taken
        return result, None


def packed_sum(rows: Tensor, batch_sizes: Tensor) -> Tensor:
    """Add up the tokens of each sequence.

    Args:
        rows: Floating point [N, D], packed.
        batch_sizes: int64 [T] on the CPU.

    Returns:
        [B, D] in the order of the packed batch; float32 for 16-bit rows.
    """
    total: Tensor = _PackedSum.apply(rows, batch_sizes)  # type: ignore[no-untyped-call]
    return total


def packed_maximum(rows: Tensor, batch_sizes: Tensor) -> Tensor:
    """Take the elementwise maximum over the tokens of each sequence; NaN wins.

    Where tokens tie, the gradient goes to the first of them. The gradient itself cannot be differentiated again.

    Args:
        rows: Floating point [N, D], packed.
        batch_sizes: int64 [T] on the CPU.

    Returns:
        [B, D] in the order of the packed batch.
    """
    function = GridMaximum if is_better_on_grid(rows, batch_sizes) else _PackedMaximum
    maximum: Tensor = function.apply(rows, batch_sizes)  # type: ignore[no-untyped-call]
    return maximum
