"""What callers hand in, checked once: texts and embeddings."""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Embeddings = Tensor | NDArray[np.float32]


def checked_texts(values: Iterable[str], name: str) -> list[str]:
    """Return texts as a list.

    Args:
        values: Any number of str, in an order; one str is no such thing, though Python would iterate it.
        name: What the caller calls them.

    Returns:
        The texts.

    Raises:
        ValueError: If something else came; names it and its place.
    """
    if isinstance(values, str | bytes | Mapping | set | frozenset) or not isinstance(values, Iterable):
        raise ValueError(f"{name} must be a list of str, got a {type(values).__name__}")
    texts = list(values)
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"{name}[{index}] must be a str, got {text!r:.80} ({type(text).__name__})")
    return texts


def embedding_matrix(embeddings: Embeddings, name: str) -> Tensor:
    """Return embeddings as a matrix.

    Args:
        embeddings: [n, D], or [D] for one; array or tensor, of any dtype, on any device.
        name: What the caller calls them.

    Returns:
        float32 [n, D] on the CPU.

    Raises:
        ValueError: If it has another number of dimensions.
    """
    matrix = torch.as_tensor(embeddings).detach().to("cpu", torch.float32)
    if matrix.dim() == 1:
        matrix = matrix[None]
    if matrix.dim() != 2:
        raise ValueError(f"{name} must be [n, D] or [D], got {list(matrix.shape)}")
    return matrix
