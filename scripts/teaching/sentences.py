"""The sentences that pairs are mined from, and those that must not be among them."""

from collections.abc import Iterable, Iterator, Sequence

from scripts.teaching.outputs import one_line
from simlstm.data.pairs import PairData
from simlstm.data.sameness import normal_text


def distinct_sentences(texts: Iterable[str], *, without: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return each sentence once, by its normal form, in the order of first appearance.

    Args:
        texts: Sentences.
        without: Normal forms of those that are left out.
    """
    kept: dict[str, str] = {}
    for text in texts:
        normal = normal_text(text)
        if normal and normal not in without:
            kept.setdefault(normal, one_line(text))
    return kept


def both_sides(data: Iterable[PairData]) -> Iterator[str]:
    """Yield all sentences of pairs, pair by pair."""
    for pairs in data:
        for first, second in zip(pairs.sentences1, pairs.sentences2, strict=True):
            yield from (first, second)


def normal_forms(texts: Iterable[str]) -> frozenset[str]:
    """Return the normal forms of texts."""
    return frozenset(map(normal_text, texts))


def rows_of_pairs(data: Sequence[PairData], sentences: Iterable[str]) -> list[tuple[PairData, int, tuple[int, int]]]:
    """Find the pairs whose two sentences are both among some, and are not one sentence.

    Args:
        data: Pairs.
        sentences: Normal forms, each once.

    Returns:
        Of each such pair its file, its row there, and the positions of its sentences.
    """
    positions = {normal: position for position, normal in enumerate(sentences)}
    found = []
    for pairs in data:
        for row, both in enumerate(zip(pairs.sentences1, pairs.sentences2, strict=True)):
            first, second = (positions.get(normal_text(text), -1) for text in both)
            if first >= 0 and second >= 0 and first != second:
                found.append((pairs, row, (first, second)))
    return found
