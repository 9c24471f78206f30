"""Exact nearest neighbours by blocks: every vector with every other, in memory that does not grow with their square."""

from collections.abc import Callable

import torch
from torch import Tensor


def nearest(
    vectors: Tensor,
    count: int,
    *,
    allowed: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
    rows_at_once: int = 512,
    columns_at_once: int = 65_536,
    advance: Callable[[int], None] = lambda rows: None,
) -> tuple[Tensor, Tensor]:
    """Find the nearest neighbours of each vector by cosine; none is its own neighbour.

    Args:
        vectors: float32 [n, D], each of length 1.
        count: Neighbours of each, k.
        allowed: Called with cosines [r, c] and the numbers of rows [r] and columns [c]; returns bool [r, c], False for
            what must not be a neighbour.
        rows_at_once: Rows r of a block of cosines.
        columns_at_once: Columns c of a block.
        advance: Called with the number of rows after each block of rows.

    Returns:
        Cosines [n, k], the highest first, and numbers of the neighbours [n, k] int64; equal cosines in the order of
        the numbers. Where there are fewer, the cosine is minus infinity.
    """
    total = len(vectors)
    found_values = torch.full((total, count), float("-inf"))
    found = torch.zeros((total, count), dtype=torch.int64)
    for start in range(0, total, rows_at_once):
        rows = torch.arange(start, min(start + rows_at_once, total))
        best = torch.empty((len(rows), 0))
        numbers = torch.empty((len(rows), 0), dtype=torch.int64)
        for left in range(0, total, columns_at_once):
            columns = torch.arange(left, min(left + columns_at_once, total))
            cosines = vectors[rows] @ vectors[left : left + len(columns)].T  # (r, c)
            forbidden = rows[:, None] == columns[None, :]
            if allowed is not None:
                forbidden |= ~allowed(cosines, rows, columns)
            cosines.masked_fill_(forbidden, float("-inf"))
            values, places = cosines.topk(min(count, len(columns)), dim=1)
            best = torch.cat([best, values], dim=1)
            numbers = torch.cat([numbers, columns[places]], dim=1)
        by_number = numbers.argsort(dim=1, stable=True)
        best, numbers = best.gather(1, by_number), numbers.gather(1, by_number)
        order = best.argsort(dim=1, descending=True, stable=True)[:, :count]
        width = order.shape[1]
        found_values[rows, :width] = best.gather(1, order)
        found[rows, :width] = numbers.gather(1, order)
        advance(len(rows))
    return found_values, found
