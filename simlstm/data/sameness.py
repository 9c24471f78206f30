"""When two texts count as the same: for overlap between sets, and for leaving it out."""

import unicodedata

from simlstm.data.pairs import PairData


def normal_text(text: str) -> str:
    """Return a text without what makes no other sentence of it: case, width, spacing."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def normal_pairs(data: PairData) -> list[frozenset[str]]:
    """Return the two normal texts of each pair, in no order; a pair of equal ones has one element."""
    return [
        frozenset((normal_text(first), normal_text(second)))
        for first, second in zip(data.sentences1, data.sentences2, strict=True)
    ]
