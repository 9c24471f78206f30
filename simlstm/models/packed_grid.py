"""The same sums and maxima as in ``simlstm.models.packed``, for devices on which every operation is a launch.

A walk over steps takes a launch or more for each of them. Here the tokens are spread over a grid [T, B, D] first, gaps
filled with what does not count, so that the number of operations does not depend on T. The grid holds the padding that
packed rows leave out: where one sequence is much longer than the others, that would be too much, and steps are walked.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from simlstm.rnn.device_walk import DeviceWalk
from simlstm.rnn.walk import PackedWalk

# Of gamma-distributed lengths, as sentences have them, the longest of thousands is five times the mean.
_MOST_PADDING = 8


def is_better_on_grid(rows: Tensor, batch_sizes: Tensor) -> bool:
    """Return whether packed rows [N, D] are to be spread over a grid: not on the CPU, nor when it is mostly gaps."""
    return rows.device.type != "cpu" and is_dense(batch_sizes)


def is_dense(batch_sizes: Tensor) -> bool:
    """Return whether a grid [T, B] has at most eight places for each token."""
    return len(batch_sizes) * int(batch_sizes[0]) <= _MOST_PADDING * int(batch_sizes.sum())


class GridMaximum(torch.autograd.Function):
    """Maximum over tokens; its gradient goes to the first token that reaches the maximum."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, batch_sizes: Tensor) -> Tensor:
        """Take the maximum over the steps of the grid, and remember where it was."""
        walk = _walk(rows, batch_sizes)
        maximum, step = _grid(rows, walk, -torch.inf).max(0)  # [B, D]; of equal ones, the first
        ctx.save_for_backward(walk.offsets[step] + _sequences(walk)[:, None])
        ctx.shape = rows.shape
        return maximum

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Put each element's gradient into its row; no two elements of a column share one."""
        (row,) = ctx.saved_tensors
        (gradient,) = gradients
        return gradient.new_zeros(ctx.shape).scatter_(0, row, gradient), None


def grid_sum(rows: Tensor, batch_sizes: Tensor, dtype: torch.dtype) -> Tensor:
    """Add up the tokens of each sequence in a dtype, [B, D]; not differentiable."""
    return _grid(rows, _walk(rows, batch_sizes), 0.0).sum(0, dtype=dtype)


def _walk(rows: Tensor, batch_sizes: Tensor) -> DeviceWalk:
    return PackedWalk(tuple(batch_sizes.tolist()), rows.device).on_device


def _sequences(walk: DeviceWalk) -> Tensor:
    return torch.arange(walk.sequences, device=walk.lengths.device)


def _grid(rows: Tensor, walk: DeviceWalk, fill: float) -> Tensor:
    """Spread packed rows [N, D] over [T, B, D]."""
    runs = torch.arange(walk.steps, device=rows.device)[:, None] < walk.lengths  # [T, B]
    places = torch.where(runs, walk.offsets[:, None] + _sequences(walk), 0)
    grid = rows.index_select(0, places.flatten()).view(*runs.shape, rows.shape[1])
    return grid.masked_fill_(~runs[..., None], fill)
