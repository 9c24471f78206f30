"""Moving scores to another range without changing their order."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def match_range(scores: ArrayLike, reference: ArrayLike, gold: ArrayLike) -> NDArray[np.float64]:
    """Map scores by the monotone function that gives reference scores the distribution of gold ones.

    Quantile matching (Bolstad et al. 2003, for two samples): a score goes to its rank among the reference, and that
    rank to the gold value of the same rank. Equal values share the middle of their ranks, and between ranks the values
    are interpolated, so that distinct scores within the reference stay distinct.

    Args:
        scores: [P].
        reference: Scores of the same teacher; those very scores, or its scores of the gold pairs.
        gold: Values to look like.

    Returns:
        [P], from the least to the largest gold value.

    Raises:
        ValueError: The reference or gold values are empty or all equal: then there are no ranks.
    """
    reference_values, reference_ranks = _ranks(np.asarray(reference, np.float64), "reference")
    gold_values, gold_ranks = _ranks(np.asarray(gold, np.float64), "gold")
    ranks = np.interp(np.asarray(scores, np.float64), reference_values, reference_ranks)
    return np.interp(ranks, gold_ranks, gold_values)


def _ranks(values: NDArray[np.float64], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return distinct values in order, and the relative rank of each, from 0 to 1."""
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) < 2:
        raise ValueError(f"{name}: {len(distinct)} distinct values came; allowed: 2 and more")
    middle = (np.cumsum(counts) - counts / 2) / len(values)
    middle[0], middle[-1] = 0, 1
    return distinct, middle
