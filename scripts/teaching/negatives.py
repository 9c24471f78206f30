"""Hard negatives: sentences that are near an anchor and belong to another group."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from scripts.teaching.candidates import Rows, neighbour_pairs, pair_cosines
from scripts.teaching.neighbours import nearest


def positive_groups(total: int, positives: Iterable[tuple[int, int]]) -> list[int]:
    """Return the connected component of each of ``total`` sentences under "means the same", by its least member."""
    parent = list(range(total))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for first, second in positives:
        low, high = sorted((root(first), root(second)))
        parent[high] = low
    return [root(node) for node in range(total)]


def hard_negatives(
    vectors: Tensor, positives: Sequence[tuple[int, int]], *, count: int, at_most: float, margin: float
) -> Rows:
    """Pair sentences with their nearest ones of other groups, which are probably no paraphrases.

    Whether two groups mean the same, nobody has said: the nearest of all are often unlabelled paraphrases. So
    a negative must be less similar than ``at_most``, and than the anchor's own positives by a margin (positive-aware
    mining, Moreira et al. 2024, "NV-Retriever", section 4).

    Args:
        vectors: float32 [n, D], each of length 1.
        positives: Numbers of sentences that mean the same. Only these are anchors; all sentences can be negatives.
        count: Negatives of each anchor, at most.
        at_most: Highest cosine of a negative.
        margin: Least difference to the anchor's least similar positive.

    Returns:
        int64 [P, 2], each pair once, the lesser number first.
    """
    groups = torch.tensor(positive_groups(len(vectors), positives))
    pairs = torch.tensor(positives, dtype=torch.int64).reshape(-1, 2)
    bounds = torch.from_numpy(pair_cosines(vectors, pairs.numpy())) - margin
    highest = torch.full((len(vectors),), float("-inf"))  # no anchor, no negative
    highest[pairs.flatten()] = at_most
    highest.scatter_reduce_(0, pairs.T.flatten(), bounds.repeat(2), reduce="amin")

    def allowed(cosines: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        return (groups[rows][:, None] != groups[columns][None, :]) & (cosines <= highest[rows][:, None])

    return neighbour_pairs(*nearest(vectors, count, allowed=allowed))
