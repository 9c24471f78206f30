"""Count what an evaluation set shares with training data."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from simlstm.data.pairs import PairData


@dataclass(frozen=True, slots=True)
class Overlap:
    """What of an evaluation set also stands in training data; case, width and spacing aside.

    Attributes:
        sentences: Distinct sentences of the evaluation set that occur in training.
        all_sentences: Distinct sentences of the evaluation set.
        pairs: Pairs of the evaluation set that occur in training, in either order.
        all_pairs: Pairs of the evaluation set.
    """

    sentences: int
    all_sentences: int
    pairs: int
    all_pairs: int


def count_overlap(data: PairData, train: Iterable[PairData]) -> Overlap:
    """Compare an evaluation set with training sources."""
    train_sentences: set[str] = set()
    train_pairs: set[frozenset[str]] = set()
    for source in train:
        pairs = _normal_pairs(source)
        train_pairs.update(frozenset(pair) for pair in pairs)
        train_sentences.update(sentence for pair in pairs for sentence in pair)
    pairs = _normal_pairs(data)
    sentences = {sentence for pair in pairs for sentence in pair}
    return Overlap(
        sentences=len(sentences & train_sentences),
        all_sentences=len(sentences),
        pairs=sum(frozenset(pair) in train_pairs for pair in pairs),
        all_pairs=len(pairs),
    )


def _normal_pairs(data: PairData) -> list[tuple[str, str]]:
    return [(_normal(a), _normal(b)) for a, b in zip(data.sentences1, data.sentences2, strict=True)]


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
