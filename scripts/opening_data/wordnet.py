"""WordNet's data files: an indented licence, then ``offset … | definition; "example"; "example"- author``.

The layout is the one of the manual page wndb(5WN).
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.opening_data.raw_files import read_lines
from simlstm.data.errors import DataError

_MIN_WORDS = 3
_PIECE = re.compile(r'(?:"[^"]*"|[^;"])+')
_QUOTED = re.compile(r'"([^"]*)"')
_TOUCHING = re.compile(r'([^"]+?)\s*[,:]\s*(?=")')  # definition and example with no semicolon between them
_INTRODUCTIONS = {"e.g.", "as in", "as in e.g.", "as"}


def read_definitions(files: Sequence[Path]) -> Iterator[tuple[str, ...]]:
    """Yield the definition of each synset, when it has three words or more, and its examples.

    Raises:
        DataError: A line has no gloss.
    """
    for path in files:
        for number, line in read_lines(path):
            if line.startswith("  "):
                continue
            _, bar, gloss = line.partition(" | ")
            if not bar:
                raise DataError(f"{path}:{number}: {line[:60]!r} came; allowed: a synset with ' | ' before its gloss")
            definition, examples = split_gloss(gloss)
            if len(definition.split()) >= _MIN_WORDS:
                yield (definition,)
            yield from ((example,) for example in examples)


def split_gloss(gloss: str) -> tuple[str, list[str]]:
    """Return the definition of a gloss and its examples, without quotation marks and authors of examples."""
    definition: list[str] = []
    examples: list[str] = []
    for piece in map(str.strip, _PIECE.findall(gloss)):
        start, quoted = _divide(piece)
        if start and start not in _INTRODUCTIONS and not examples:
            definition.append(start)
        examples += _QUOTED.findall(quoted)
    return "; ".join(definition), examples


def _divide(piece: str) -> tuple[str, str]:
    """Return what a piece of a gloss has of the definition, and its quoted examples; either may be empty."""
    if piece.startswith('"'):
        return "", piece
    touching = _TOUCHING.match(piece)
    if touching is None or touching[1].count("(") != touching[1].count(")"):
        return piece, ""
    return touching[1], piece[touching.end() :]
