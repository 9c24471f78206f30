"""Cosines of embeddings: every one with every other, or row by row."""

from torch import Tensor

from simlstm.models.normalization import normalize_rows


def cosine_matrix(embeddings1: Tensor, embeddings2: Tensor) -> Tensor:
    """Compare every embedding with every other.

    Args:
        embeddings1: Floating point [n1, D].
        embeddings2: Floating point [n2, D].

    Returns:
        [n1, n2]; 0 where an embedding is zero.

    Raises:
        ValueError: If the widths differ.
    """
    _check_widths(embeddings1, embeddings2)
    return normalize_rows(embeddings1) @ normalize_rows(embeddings2).T


def cosine_pairs(embeddings1: Tensor, embeddings2: Tensor) -> Tensor:
    """Compare embeddings row by row.

    Args:
        embeddings1: Floating point [n, D].
        embeddings2: Floating point [n, D].

    Returns:
        [n]; 0 where an embedding is zero.

    Raises:
        ValueError: If the shapes differ.
    """
    _check_widths(embeddings1, embeddings2)
    if len(embeddings1) != len(embeddings2):
        raise ValueError(
            f"embeddings1 and embeddings2 must have equally many rows, got {len(embeddings1)} and {len(embeddings2)}"
        )
    return (normalize_rows(embeddings1) * normalize_rows(embeddings2)).sum(dim=1)


def _check_widths(embeddings1: Tensor, embeddings2: Tensor) -> None:
    """Refuse embeddings that are not of one kind."""
    if embeddings1.shape[1] != embeddings2.shape[1]:
        raise ValueError(
            f"embeddings1 and embeddings2 must be equally wide, got {embeddings1.shape[1]} and {embeddings2.shape[1]}"
        )
