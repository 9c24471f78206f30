"""The training sources, tokenized once, and the order in which their batches come."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from simlstm.data.batching import BucketBatches, PairBatch, pack
from simlstm.data.pairs import PairData
from simlstm.data.sentences import SentenceData
from simlstm.text.tokenizer import Tokenizer
from simlstm.training.augmentation import Augmentation
from simlstm.training.objective import Kind

# The seed of each source is the run's plus a multiple of this, so that no two sources share an order.
_SEED_STRIDE = 1_000_003


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """One batch of an epoch: rows of one source, in one of the passes over it, counted from 0 through all epochs."""

    source: int
    rows: list[int]
    turn: int = 0


@dataclass(frozen=True, slots=True)
class TokenizedSource:
    """One source as token ids; all lists have one entry per pair."""

    name: str
    kind: Kind
    ids1: list[list[int]]
    ids2: list[list[int]]
    targets: list[float]
    groups: list[str] | None
    weight: float


@dataclass(frozen=True, slots=True)
class TaughtSource:
    """One source of sentences as token ids, with a teacher's vectors, float16 [n, E]."""

    name: str
    ids: list[list[int]]
    vectors: NDArray[np.float16]
    weight: float


@dataclass(frozen=True)
class TaughtBatch:
    """B sentences, ready for the model.

    Attributes:
        tokens: B packed sentences, or those of one process's share.
        targets: The teacher's vectors of the whole batch, float32 [B, E].
    """

    tokens: PackedSequence
    targets: Tensor


class Corpus:
    """All sources of a run: those of pairs, then those of sentences.

    A batch holds rows of one source only: losses differ by kind of data, and CoSENT compares the targets of a batch,
    which means something only on one scale. The batches of all sources are shuffled together. What an epoch holds is
    a pure function of the seed and its number.

    Args:
        data: The sources as read.
        weights: How often each source is gone through in one epoch.
        tokenizer: Makes the ids.
        max_tokens: Longer sentences are cut.
        batch_size: Pairs per batch.
        seed: Of the order.
        batch_sizes: Of each source, where it has one of its own; None stands for `batch_size`.
        augmentation: Changes the pairs anew in each pass; None leaves them as they are.
        taught: Sources of sentences, each with a teacher's vectors, float16 [n, E]; their weights and batch sizes come
            after those of the pairs.
    """

    def __init__(
        self,
        data: Sequence[PairData],
        weights: Sequence[float],
        tokenizer: Tokenizer,
        *,
        max_tokens: int,
        batch_size: int,
        seed: int,
        batch_sizes: Sequence[int | None] | None = None,
        taught: Sequence[tuple[SentenceData, NDArray[np.float16]]] = (),
        augmentation: Augmentation | None = None,
    ) -> None:
        self._seed = seed
        self._augmentation = augmentation
        self._data = data
        self._tokens_of = partial(tokenizer.encode, max_tokens=max_tokens)
        sizes = [size or batch_size for size in batch_sizes or [None] * len(weights)]
        self.sources = [
            _tokenize(source, weight, tokenizer, max_tokens)
            for source, weight in zip(data, weights[: len(data)], strict=True)
        ]
        self.taught = [
            TaughtSource(source.name, tokenizer.encode(source.sentences, max_tokens=max_tokens), vectors, weight)
            for (source, vectors), weight in zip(taught, weights[len(data) :], strict=True)
        ]
        self._weights = weights
        self._batches = [
            BucketBatches(lengths, batch_size=sizes[index], seed=seed + _SEED_STRIDE * index)
            for index, lengths in enumerate(self._lengths())
        ]

    @property
    def kinds(self) -> list[Kind]:
        """The kind of each source of pairs."""
        return [source.kind for source in self.sources]

    def batches_per_epoch(self) -> int:
        """Return the number of batches in every epoch."""
        return sum(self._share(index) for index in range(len(self._batches)))

    def is_taught(self, batch: PlannedBatch) -> bool:
        """Tell whether a batch holds sentences, and not pairs."""
        return batch.source >= len(self.sources)

    def epoch(self, number: int) -> list[PlannedBatch]:
        """Return the batches of one epoch in their order."""
        planned: list[PlannedBatch] = []
        for index, weight in enumerate(self._weights):
            passes = math.ceil(weight)
            turns = range(number * passes, (number + 1) * passes)
            batches = [PlannedBatch(index, rows, turn) for turn in turns for rows in self._batches[index].epoch(turn)]
            planned += batches[: self._share(index)]
        order = np.random.default_rng([self._seed, number, len(planned)]).permutation(len(planned))
        return [planned[place] for place in order]

    def collate(self, batch: PlannedBatch, own: Sequence[int] | None = None) -> tuple[PairBatch, Kind]:
        """Pack one batch, and say of what kind it is.

        Args:
            batch: As planned.
            own: Rows whose sentences are packed, where other processes pack the rest; all of them by default. Targets
                and groups are those of the whole batch.
        """
        source = self.sources[batch.source]
        rows = batch.rows if own is None else own
        groups = None if source.groups is None else [source.groups[row] for row in batch.rows]
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups or ()))}
        collated = PairBatch(
            tokens=pack(self._ids(batch, rows)),
            targets=torch.tensor([source.targets[row] for row in batch.rows], dtype=torch.float32),
            groups=None if groups is None else torch.tensor([numbers[group] for group in groups]),
        )
        return collated, source.kind

    def _ids(self, batch: PlannedBatch, rows: Sequence[int]) -> list[list[int]]:
        """Return the ids of the first sentences of some rows of a batch, then those of the second ones."""
        source = self.sources[batch.source]
        ids = [source.ids1[row] for row in rows] + [source.ids2[row] for row in rows]
        if self._augmentation is None:
            return ids
        data, index, turn = self._data[batch.source], batch.source, batch.turn
        pairs = [(data.sentences1[row], data.sentences2[row]) for row in rows]
        changed = [
            self._augmentation.pair(*pair, source=index, turn=turn, row=row)
            for pair, row in zip(pairs, rows, strict=True)
        ]
        before, after = ([text for side in zip(*texts, strict=True) for text in side] for texts in (pairs, changed))
        places = [place for place, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
        for place, new in zip(places, self._tokens_of([after[place] for place in places]), strict=True):
            ids[place] = new
        return ids

    def collate_taught(self, batch: PlannedBatch, own: Sequence[int] | None = None) -> TaughtBatch:
        """Pack one batch of sentences.

        Args:
            batch: As planned.
            own: Rows whose sentences are packed, as in `collate`. The targets are those of the whole batch.
        """
        source = self.taught[batch.source - len(self.sources)]
        rows = batch.rows if own is None else own
        targets = torch.from_numpy(source.vectors[batch.rows].astype(np.float32))
        return TaughtBatch(pack([source.ids[row] for row in rows]), targets)

    def _lengths(self) -> Iterator[list[int]]:
        """Yield the lengths of the rows of each source, of a pair those of both sentences together."""
        for source in self.sources:
            yield [len(first) + len(second) for first, second in zip(source.ids1, source.ids2, strict=True)]
        for taught in self.taught:
            yield [len(ids) for ids in taught.ids]

    def _share(self, index: int) -> int:
        """Return how many batches of a source one epoch takes: at least one, however small the weight."""
        return max(round(self._weights[index] * len(self._batches[index])), 1)


def _tokenize(data: PairData, weight: float, tokenizer: Tokenizer, max_tokens: int) -> TokenizedSource:
    """Tokenize each distinct sentence of a source once."""
    distinct = list(dict.fromkeys(itertools.chain(data.sentences1, data.sentences2)))
    ids = dict(zip(distinct, tokenizer.encode(distinct, max_tokens=max_tokens), strict=True))
    return TokenizedSource(
        name=data.name,
        kind=data.kind,
        ids1=[ids[sentence] for sentence in data.sentences1],
        ids2=[ids[sentence] for sentence in data.sentences2],
        targets=data.scaled_targets(),
        groups=None if data.kind == "graded" else _groups_of_meaning(data),
        weight=weight,
    )


def _groups_of_meaning(data: PairData) -> list[str]:
    """Group pairs that say the same: of one published group, or joined by a sentence through positive pairs.

    With "a b" and "b c" as paraphrases, c is no negative of a although the two never stand together.
    """
    numbers: dict[tuple[str, str], int] = {}
    joined: list[tuple[int, int]] = []
    first_nodes: list[int] = []
    rows = zip(
        data.sentences1, data.sentences2, data.groups or itertools.repeat(None, len(data)), data.targets, strict=True
    )
    for first, second, group, target in rows:
        node = numbers.setdefault(("sentence", first), len(numbers))
        first_nodes.append(node)
        other = numbers.setdefault(("sentence", second), len(numbers))
        if target == data.score_range[1]:
            joined.append((node, other))
        if group is not None:
            joined.append((node, numbers.setdefault(("group", group), len(numbers))))
    edges = np.array(joined, dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges), dtype=np.int8), (edges[:, 0], edges[:, 1])), shape=(len(numbers),) * 2)
    _, component = connected_components(graph, directed=False)
    return [str(component[node]) for node in first_nodes]
