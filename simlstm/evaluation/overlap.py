"""Count what an evaluation set shares with training data."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from simlstm.data.pairs import PairData
from simlstm.data.sameness import normal_pairs, normal_text
from simlstm.data.sentences import SentenceData


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
    return count_overlaps([data], train)[0]


def count_overlaps(sets: Iterable[PairData], train: Iterable[PairData]) -> list[Overlap]:
    """Compare several evaluation sets with training sources, which are gone through once."""
    train_sentences: set[str] = set()
    train_pairs: set[frozenset[str]] = set()
    for source in train:
        pairs = normal_pairs(source)
        train_pairs.update(pairs)
        train_sentences.update(sentence for pair in pairs for sentence in pair)
    overlaps = []
    for data in sets:
        pairs = normal_pairs(data)
        sentences = {sentence for pair in pairs for sentence in pair}
        overlaps.append(
            Overlap(
                sentences=len(sentences & train_sentences),
                all_sentences=len(sentences),
                pairs=sum(pair in train_pairs for pair in pairs),
                all_pairs=len(pairs),
            )
        )
    return overlaps


def overlaps_by_name(
    sets: Sequence[PairData], train: Iterable[PairData], taught: Sequence[SentenceData] = ()
) -> dict[str, dict[str, int]]:
    """Return the fields of `count_overlaps` by the name of each set, as a run records them.

    Args:
        sets: Evaluation sets of different names.
        train: Training sources of pairs.
        taught: Training sources of sentences without labels. Where there are any, ``taught_sentences`` is the number of
            a set's distinct sentences that the student reads in them, too.
    """
    counted = count_overlaps(sets, train)
    overlaps = {data.name: asdict(overlap) for data, overlap in zip(sets, counted, strict=True)}
    if taught:
        read = {normal_text(text) for source in taught for text in source.sentences}
        for data in sets:
            sentences = {sentence for pair in normal_pairs(data) for sentence in pair}
            overlaps[data.name]["taught_sentences"] = len(sentences & read)
    return overlaps
