"""Batches without padding: packing token ids, and batches of sentences of like length."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence


def pack(token_ids: Sequence[Sequence[int]]) -> PackedSequence:
    """Pack sequences of ids time-major, longest first; equal lengths keep the caller's order.

    It unpacks to what ``torch.nn.utils.rnn.pack_sequence(..., enforce_sorted=False)`` unpacks to, and is made without a
    tensor for each sequence or a padded one for all. (Torch leaves the order of equal lengths open.)

    Args:
        token_ids: B sequences in any order, each with at least one id.

    Returns:
        ``data`` is [N] int64 with N the number of ids; ``batch_sizes`` [T]; ``sorted_indices`` and
        ``unsorted_indices`` [B] lead from the caller's order to the packed one and back.

    Raises:
        ValueError: There is no sequence, or one without ids.
    """
    if not token_ids:
        raise ValueError("token_ids: no sequence came; allowed: 1 and more")
    lengths = np.fromiter(map(len, token_ids), np.int64, len(token_ids))
    if not lengths.all():
        raise ValueError(f"token_ids[{int(lengths.argmin())}]: 0 ids came; allowed: 1 and more")
    ids = np.fromiter(itertools.chain.from_iterable(token_ids), np.int64, int(lengths.sum()))

    order = np.argsort(-lengths, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    # Sequences longer than t: all, less those of t ids or fewer.
    batch_sizes = len(lengths) - np.cumsum(np.bincount(lengths))[:-1]
    step_starts = np.cumsum(batch_sizes) - batch_sizes
    steps = np.arange(len(ids)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    data = np.empty_like(ids)
    data[step_starts[steps] + np.repeat(rank, lengths)] = ids
    return PackedSequence(*(torch.from_numpy(part) for part in (data, batch_sizes, order, rank)))


class BucketBatches:
    """Batches of rows of like length, shuffled anew in each epoch.

    Rows are shuffled, then sorted by length within windows of several batches, cut into batches, and the batches
    shuffled: like lengths meet, yet no two epochs have the same batches. Which rows stand in which batch is a pure
    function of the arguments and the number of the epoch, so training resumes anywhere.

    Args:
        lengths: Length of each row (of a pair: of both sentences together).
        batch_size: Rows in each batch; one batch of an epoch can be smaller.
        seed: Not negative.
        bucket_batches: Batches in a window; 1 does not sort at all.

    Raises:
        ValueError: An argument below 1, or a negative seed.
    """

    def __init__(self, lengths: Sequence[int], *, batch_size: int, seed: int, bucket_batches: int = 50) -> None:
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("bucket_batches", bucket_batches, 1),
            ("seed", seed, 0),
        ):
            if value < least:
                raise ValueError(f"{name}: {value} came; allowed: {least} and more")
        self._lengths: npt.NDArray[np.int64] = np.asarray(lengths, dtype=np.int64)
        self._batch_size = batch_size
        self._seed = seed
        self._window = batch_size * bucket_batches

    def __len__(self) -> int:
        """Return the number of batches in each epoch."""
        return -(-len(self._lengths) // self._batch_size)

    def epoch(self, number: int) -> list[list[int]]:
        """Return the batches of epoch ``number`` (from 0), each a list of rows; every row stands in one of them.

        Raises:
            ValueError: The number is negative.
        """
        if number < 0:
            raise ValueError(f"number: {number} came; allowed: 0 and more")
        generator = np.random.default_rng([self._seed, number])
        rows = generator.permutation(len(self._lengths))
        batches: list[list[int]] = []
        for start in range(0, len(rows), self._window):
            window = rows[start : start + self._window]
            if self._window > self._batch_size:
                window = window[np.argsort(self._lengths[window], kind="stable")]
            ordered: list[int] = window.tolist()
            batches += [ordered[at : at + self._batch_size] for at in range(0, len(ordered), self._batch_size)]
        return [batches[index] for index in generator.permutation(len(batches))]


@dataclass(frozen=True)
class PairBatch:
    """P pairs, ready for the model.

    Attributes:
        tokens: 2P packed sentences: all first ones in order, then all second ones.
        targets: [P] float32, scaled to [0, 1].
        groups: [P] int64, equal for pairs of one group; None where the data have no groups.
    """

    tokens: PackedSequence
    targets: Tensor
    groups: Tensor | None


def collate_pairs(
    ids1: Sequence[Sequence[int]],
    ids2: Sequence[Sequence[int]],
    targets: Sequence[float],
    groups: Sequence[str] | None = None,
) -> PairBatch:
    """Pack P pairs of tokenized sentences.

    Args:
        ids1: Token ids of the first sentences.
        ids2: Token ids of the second sentences.
        targets: Gold values scaled to [0, 1].
        groups: The group of each pair.

    Raises:
        ValueError: The arguments differ in length, or see ``pack``.
    """
    counts = [len(ids1), len(ids2), len(targets), len(ids1) if groups is None else len(groups)]
    if len(set(counts)) > 1:
        raise ValueError(f"ids1, ids2, targets, groups: lengths {counts} came; allowed: one length")
    numbers: dict[str, int] = {}
    return PairBatch(
        tokens=pack([*ids1, *ids2]),
        targets=torch.tensor(targets, dtype=torch.float32),
        groups=None if groups is None else torch.tensor([numbers.setdefault(group, len(numbers)) for group in groups]),
    )
