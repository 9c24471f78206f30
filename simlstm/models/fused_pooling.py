"""Poolings that a frozen recurrence takes while it runs."""

from typing import NamedTuple

import torch
from torch import Tensor

from simlstm.models.pooling import AttentionPooling, LastPooling, MaxPooling, MeanMaxPooling, MeanPooling, Pooling
from simlstm.rnn.frozen import RunResult


class Wanted(NamedTuple):
    """What a pooling needs of a recurrent layer; the arguments of ``FrozenLayer.run``."""

    rows: bool = False
    maximum: bool = False
    total: bool = False
    last: bool = False


WANTED: dict[type[Pooling], Wanted] = {
    MaxPooling: Wanted(maximum=True),
    MeanPooling: Wanted(total=True),
    MeanMaxPooling: Wanted(maximum=True, total=True),
    LastPooling: Wanted(last=True),
    AttentionPooling: Wanted(rows=True),
}


def pooled(wanted: Wanted, result: RunResult, lengths: Tensor) -> Tensor:
    """Make one vector of each sequence of what the recurrence has pooled.

    Args:
        wanted: What a pooling needs; not rows.
        result: Holds it, and may hold more.
        lengths: Integers [B], at least 1, on the device of the result.

    Returns:
        [B, D], in the order of the result.
    """
    parts = []
    if wanted.last and result.last is not None:
        parts.append(result.last)
    if wanted.total and result.total is not None:
        parts.append(result.total / lengths[:, None])
    if wanted.maximum and result.maximum is not None:
        parts.append(result.maximum)
    return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
