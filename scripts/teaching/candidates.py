"""Candidate pairs for silver labels: neighbours and random pairs, balanced over similarity."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Rows = NDArray[np.int64]


def neighbour_pairs(cosines: Tensor, neighbours: Tensor) -> Rows:
    """Return the pairs of rows and their neighbours, each pair once, the lesser first.

    Args:
        cosines: [n, k]; minus infinity where there is no neighbour.
        neighbours: [n, k] int64.

    Returns:
        int64 [P, 2], in order.
    """
    rows, places = torch.nonzero(cosines > float("-inf"), as_tuple=True)
    return _distinct(rows.numpy(), neighbours[rows, places].numpy())


def random_pairs(total: int, count: int, *, seed: int) -> Rows:
    """Draw pairs of different rows below ``total``, each pair once, the lesser first; a few less than ``count``."""
    generator = np.random.default_rng(seed)
    if total < 2 or not count:
        return np.empty((0, 2), np.int64)
    first = generator.integers(total, size=count)
    second = (first + generator.integers(1, total, size=count)) % total
    return _distinct(first, second)


def join(*parts: Rows) -> Rows:
    """Return the pairs of all parts, each once, in order."""
    pairs = np.concatenate(parts)
    return _distinct(pairs[:, 0], pairs[:, 1])


def without(pairs: Rows, unwanted: Sequence[tuple[int, int]]) -> Rows:
    """Return the pairs that are none of ``unwanted``, in either order."""
    if not unwanted:
        return pairs
    both = set(unwanted) | {(second, first) for first, second in unwanted}
    return pairs[[(int(first), int(second)) not in both for first, second in pairs]]


def pair_cosines(vectors: Tensor, pairs: Rows, *, at_once: int = 65_536) -> NDArray[np.float32]:
    """Return the cosine of each pair, float32 [P]; vectors have length 1."""
    cosines = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), at_once):
        part = torch.from_numpy(pairs[start : start + at_once])
        cosines[start : start + at_once] = (vectors[part[:, 0]] * vectors[part[:, 1]]).sum(dim=1).numpy()
    return cosines


def balanced(cosines: NDArray[np.float32], count: int, *, bins: int, seed: int) -> Rows:
    """Choose pairs so that every range of similarity has its share.

    Mined pairs are alike and random ones are not: silver sets of either teach little about the middle (Thakur et al.
    2021, "Augmented SBERT", section 3.1). The bins are equally wide from the least to the largest cosine; each gives
    the same number of pairs, and what a bin lacks the fuller ones give.

    Args:
        cosines: [P].
        count: Pairs wanted; all are taken where there are not more.
        bins: Number of bins.
        seed: Of the choice within a bin.

    Returns:
        Positions of the chosen pairs, in order.
    """
    if len(cosines) <= count:
        return np.arange(len(cosines))
    edges = np.linspace(cosines.min(), cosines.max(), bins + 1)[1:-1]
    members = [np.flatnonzero(np.digitize(cosines, edges) == number) for number in range(bins)]
    generator = np.random.default_rng(seed)
    chosen: list[Rows] = []
    left = count
    for done, rows in enumerate(sorted(members, key=len)):  # the emptiest first: the others share what it lacks
        share = min(len(rows), left // (bins - done))
        chosen.append(generator.permutation(rows)[:share])
        left -= share
    return np.sort(np.concatenate(chosen))


def _distinct(first: Rows, second: Rows) -> Rows:
    pairs = np.stack([np.minimum(first, second), np.maximum(first, second)], axis=1)
    return np.unique(pairs, axis=0)
