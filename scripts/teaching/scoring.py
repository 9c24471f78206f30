"""Scores of many pairs by a transformer: batches of like length, no gradients."""

from collections.abc import Sequence

import torch
from torch import Tensor

from scripts.teaching.pair_models import PairModel


def score_pairs(
    model: PairModel, first: Sequence[str], second: Sequence[str], *, batch_size: int = 64, bfloat16: bool = True
) -> Tensor:
    """Score P pairs in evaluation mode.

    Args:
        model: Scores them.
        first: First sentences.
        second: Second sentences.
        batch_size: Pairs computed at once.
        bfloat16: Whether products are computed in bfloat16.

    Returns:
        float32 [P] on the CPU.
    """
    model.module.eval()
    device = next(model.module.parameters()).device
    order = sorted(range(len(first)), key=lambda row: len(first[row]) + len(second[row]))
    scores = torch.empty(len(first))
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            scores[rows] = model.scores([first[row] for row in rows], [second[row] for row in rows]).cpu()
    return scores
