"""Sentence pairs with their gold values, as a file published them."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class PairData:
    """Pairs of sentences, one target each; all lists have one entry for each pair.

    Attributes:
        name: Where the pairs come from, for people: folder and file name, or the name of the demo part.
        sentences1: First sentences.
        sentences2: Second sentences.
        targets: Gold values as published, within ``score_range``.
        kind: ``graded`` scores, ``binary`` 0/1 labels, or ``positive``: paraphrases only, each target 1.
        score_range: Lowest and highest value that a target can have.
        ids: The published identifier, or the number of the pair from 1.
        groups: Pairs of one group mean the same (captions of one picture) and are no negatives of each other.
        sources: The collection each pair was taken from, when the file says so.
        sha256: Of the bytes of the file, in hexadecimal.
    """

    name: str
    sentences1: list[str]
    sentences2: list[str]
    targets: list[float]
    kind: Literal["graded", "binary", "positive"]
    score_range: tuple[float, float]
    ids: list[str]
    groups: list[str] | None
    sources: list[str] | None
    sha256: str

    def __post_init__(self) -> None:
        """Check that the columns have one length.

        Raises:
            ValueError: They have not, or the range is empty.
        """
        columns = (self.sentences2, self.targets, self.ids, self.groups, self.sources)
        if any(column is not None and len(column) != len(self.sentences1) for column in columns):
            lengths = [len(self.sentences1)] + [None if column is None else len(column) for column in columns]
            raise ValueError(f"columns of {self.name}: lengths {lengths} came; allowed: one length")
        if not self.score_range[0] < self.score_range[1]:
            raise ValueError(f"score_range: {self.score_range} came; allowed: a lower and a higher value")

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.sentences1)

    def scaled_targets(self) -> list[float]:
        """Return the targets, moved and stretched from ``score_range`` to [0, 1]."""
        low, high = self.score_range
        return [(target - low) / (high - low) for target in self.targets]

    def unordered_pairs(self) -> list[tuple[str, str]]:
        """Return the two sentences of each pair, the lesser first: the same pair the other way round is equal."""
        pairs = zip(self.sentences1, self.sentences2, strict=True)
        return [(first, second) if first <= second else (second, first) for first, second in pairs]

    def select(self, indices: Iterable[int]) -> "PairData":
        """Return the pairs at ``indices``, in that order; name and hash still name the whole.

        Raises:
            IndexError: An index is beyond the last pair, or negative.
        """
        rows = list(indices)
        if rows and not 0 <= min(rows) <= max(rows) < len(self):
            raise IndexError(f"indices: {min(rows)} to {max(rows)} came; allowed: 0 to {len(self) - 1}")
        return replace(
            self,
            sentences1=[self.sentences1[row] for row in rows],
            sentences2=[self.sentences2[row] for row in rows],
            targets=[self.targets[row] for row in rows],
            ids=[self.ids[row] for row in rows],
            groups=None if self.groups is None else [self.groups[row] for row in rows],
            sources=None if self.sources is None else [self.sources[row] for row in rows],
        )

    def of_sources(self, names: Collection[str]) -> "PairData":
        """Return the pairs that were taken from some of the collections; the name says which.

        Raises:
            ValueError: A name that is no collection of these pairs, or pairs that do not say where they are from.
        """
        there = sorted(set(self.sources or ()))
        if unknown := sorted(set(names) - set(there)):
            allowed = ", ".join(there) or "nothing, as the file has no column of sources"
            raise ValueError(f"sources: {', '.join(unknown)} came; allowed: {allowed}")
        kept = self.select(row for row, source in enumerate(self.sources or ()) if source in names)
        return replace(kept, name=f"{self.name} ({', '.join(sorted(names))})")

    def split(self, fraction: float, *, seed: int) -> tuple["PairData", "PairData"]:
        """Split into two parts by a hash of the first sentence (and the seed), each part in the order of the whole.

        A first sentence falls on one side with all its pairs, and stays there when pairs are added to the file. As a
        second sentence it may also be on the other side, even in the same pair the other way round.

        Args:
            fraction: Expected share of the first sentences in the second part, between 0 and 1.
            seed: Another seed is another split.

        Returns:
            The larger rest and the part of about ``fraction``, in this order: train, dev.

        Raises:
            ValueError: The fraction is not between 0 and 1.
        """
        if not 0 < fraction < 1:
            raise ValueError(f"fraction: {fraction} came; allowed: more than 0 and less than 1")
        key = str(seed).encode()
        bound = int(fraction * 2**64)
        second = [_hash(sentence, key) < bound for sentence in self.sentences1]
        rest = [row for row, is_second in enumerate(second) if not is_second]
        part = [row for row, is_second in enumerate(second) if is_second]
        return self.select(rest), self.select(part)


def _hash(sentence: str, key: bytes) -> int:
    digest = hashlib.blake2b(sentence.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest()
    return int.from_bytes(digest, "big")
