"""What each token put into a pooled vector: parts that add up to it."""

import torch
from torch import Tensor, nn

from simlstm.models.pooling import AttentionPooling, LastPooling, MaxPooling, MeanMaxPooling, MeanPooling


def token_parts(pooling: nn.Module, rows: Tensor) -> Tensor:
    """Share a pooled vector out among the tokens of one sentence.

    Of a mean, each token has an equal share of its own row. Of a maximum, an element belongs to the first token that
    reached it. Of the final states, the forward half belongs to the last token and the backward half to the first.
    Of a weighted mean, each token has its row times its weight.

    Args:
        pooling: One of ``POOLINGS``.
        rows: Floating point [n, D], the recurrent outputs at the tokens.

    Returns:
        [n, P], P the pooling's output_size; the sum over tokens is the pooled vector, up to rounding (of a maximum and
        of final states, exactly).

    Raises:
        ValueError: If the pooling is another one.
    """
    match pooling:
        case MeanMaxPooling():
            return torch.cat([token_parts(pooling.mean, rows), token_parts(pooling.max, rows)], dim=1)
        case MeanPooling():
            return rows / len(rows)
        case MaxPooling():
            # Not argmax, which may name any of those that tie; cummax names the last, so it reads from the end.
            _, last = rows.flip(0).cummax(dim=0)
            holders = len(rows) - 1 - last[-1:]  # [1, D]
            return torch.zeros_like(rows).scatter(0, holders, rows.gather(0, holders))
        case LastPooling():
            half = rows.shape[1] // 2 if pooling.bidirectional else rows.shape[1]
            parts = torch.zeros_like(rows)
            parts[-1, :half] = rows[-1, :half]
            parts[0, half:] = rows[0, half:]
            return parts
        case AttentionPooling():
            relevance: Tensor = pooling.relevance(torch.tanh(pooling.hidden(rows)))  # [n, 1]
            return torch.softmax(relevance, dim=0) * rows
        case _:
            raise ValueError(
                f"pooling {type(pooling).__qualname__} has no parts by token; allowed: mean, max, mean_max, last, "
                "attention"
            )
