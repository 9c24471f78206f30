"""Scores of many pairs, and vectors of many sentences, by a transformer: batches of like length, no gradients."""

from collections.abc import Sequence

import torch
from torch import Tensor

from scripts.teaching.pair_models import EncoderPairs, PairModel
from simlstm.models.normalization import normalize_rows


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


def encode_sentences(
    model: EncoderPairs, sentences: Sequence[str], *, batch_size: int = 64, bfloat16: bool = True
) -> Tensor:
    """Encode n sentences in evaluation mode; arguments as above.

    Returns:
        float32 [n, D] on the CPU, each row of length 1.
    """
    model.module.eval()
    device = next(model.module.parameters()).device
    order = sorted(range(len(sentences)), key=lambda row: len(sentences[row]))
    vectors: Tensor | None = None
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            part = model.vectors([sentences[row] for row in rows]).cpu()
            if vectors is None:
                vectors = torch.empty(len(sentences), part.shape[1])
            vectors[rows] = part
    if vectors is None:
        raise ValueError("sentences: none came; allowed: 1 and more")
    return normalize_rows(vectors)
