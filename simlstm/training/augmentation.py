"""Augmentation: words replaced by synonyms, and pairs the other way round, anew in each pass over the data."""

import re
from pathlib import Path

import numpy as np

from simlstm.data.errors import DataError
from simlstm.data.tables import read_table
from simlstm.text.tokenizer import Tokenizer

# A run of letters; Chinese text is cut into words by no such rule, so that it stays as it is.
_WORD = re.compile(r"[^\W\d_]+")
_SPREAD = 0x5EED  # a stream of draws that nothing else in a run has


class Augmentation:
    """Changes pairs of texts before they are tokenized, so that it works with every vocabulary.

    What becomes of a row is a pure function of seed, source, pass and row: a run that is resumed, or shared out to
    processes, sees what the uninterrupted one saw. (Synonym replacement for this task: Mueller and Thyagarajan 2016.)

    Args:
        synonyms: The synonyms of each word, in lower case.
        rate: The chance of a word that has synonyms to be replaced by one of them.
        swap: Whether a pair is turned around, with a chance of one half.
        seed: Of the draws.
    """

    def __init__(self, synonyms: dict[str, list[str]], *, rate: float, swap: bool, seed: int) -> None:
        self._synonyms = synonyms
        self._rate = rate
        self._swap = swap
        self._seed = seed

    def pair(self, first: str, second: str, *, source: int, turn: int, row: int) -> tuple[str, str]:
        """Return the two sentences of a row as one pass over a source has them.

        Args:
            first: As read.
            second: As read.
            source: Number of the source.
            turn: Number of the pass, from 0.
            row: Number of the row.
        """
        chance = np.random.default_rng([_SPREAD, self._seed, source, turn, row])
        if self._swap and chance.random() < 0.5:
            first, second = second, first
        if self._rate > 0:
            first, second = self._replaced(first, chance), self._replaced(second, chance)
        return first, second

    def _replaced(self, text: str, chance: np.random.Generator) -> str:
        """Replace some of the words of a text."""

        def replacement(match: re.Match[str]) -> str:
            known = self._synonyms.get(match.group().lower())
            if known is None or chance.random() >= self._rate:
                return match.group()
            return known[chance.integers(len(known))]

        return _WORD.sub(replacement, text)


def known_synonyms(synonyms: dict[str, list[str]], tokenizer: Tokenizer) -> dict[str, list[str]]:
    """Leave out the synonyms that are unknown to a tokenizer: a word would be lost, not replaced."""
    words = list(synonyms)
    ids = tokenizer.encode(words)
    known = {word for word, own in zip(words, ids, strict=True) if tokenizer.unknown_id not in own}
    kept = {word: [other for other in others if other in known] for word, others in synonyms.items()}
    return {word: others for word, others in kept.items() if others}


def read_synonyms(path: str | Path) -> tuple[dict[str, list[str]], str]:
    """Read a file of two words a line, separated by a tab, which are synonyms of each other.

    A first line ``word1<TAB>word2`` is a header. Words are taken in lower case.

    Returns:
        The synonyms of each word, in the order of the file, and the SHA-256 of the file.

    Raises:
        DataError: The file cannot be read, or a line holds other than two words.
    """
    path = Path(path)
    table = read_table(path, "tsv")
    found: dict[str, dict[str, None]] = {}
    for line, row in zip(table.lines, table.rows, strict=True):
        words = [cell.strip().lower() for cell in row]
        if words == ["word1", "word2"]:
            continue
        if len(words) != 2 or not all(words):
            raise DataError(f"{path}:{line}: {row} came; allowed: a word, a tab and its synonym")
        first, second = words
        if first != second:
            found.setdefault(first, {})[second] = None
            found.setdefault(second, {})[first] = None
    return {word: list(others) for word, others in found.items()}, table.sha256
