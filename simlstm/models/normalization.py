"""Scaling vectors to length 1, with a defined result and gradient at the zero vector."""

import torch
from torch import Tensor


def normalize_rows(vectors: Tensor) -> Tensor:
    """Scale every row to Euclidean length 1; a zero row stays zero.

    ``torch.nn.functional.normalize`` divides a zero row by its epsilon, so that the row's gradient is multiplied by
    1e12. Here a zero row passes through unchanged, and so does its gradient.

    Args:
        vectors: Floating point, [..., D]; 16-bit ones are scaled in float32.

    Returns:
        The same shape and dtype; each row has length 1, or 0 where it had (squares that underflow count as 0).
    """
    wide = vectors.float() if vectors.dtype in (torch.float16, torch.bfloat16) else vectors
    squared_length = wide.square().sum(dim=-1, keepdim=True)
    return (wide / torch.where(squared_length > 0, squared_length, 1.0).sqrt()).to(vectors.dtype)
