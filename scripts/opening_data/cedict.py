"""CC-CEDICT: ``Traditional Simplified [pin1 yin1] /gloss; gloss/gloss/``, one entry a line, ``#`` before comments."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.opening_data.cleaning import HAN
from scripts.opening_data.raw_files import read_lines
from simlstm.data.errors import DataError

_ENTRY = re.compile(r"(\S+) (\S+) \[[^/]*\] /(.+)/\s*")
_NOTE = re.compile(r"\([^()]*\)")
_SENSE = re.compile(r'(?:"[^"]*"|[^;])+')
_REFERENCE = re.compile(rf"[^\s,;:\[\]]*[{HAN}][^\s,;:\[\]]*(?:\s*\[[^\]]*\])?|\[[^\]]*\]")
# The sense is the reference: "variant of 座[zuo4]", "see 赤崁樓|赤崁楼[…]", "Taiwan pr. [ye4]".
_POINTS = re.compile(
    rf"(?:^|\b(?:of|for|in|to|as|from|with|by|at|on|and|or|see|also|written|called|is|than|like|character|pr\.|cf\.))"
    rf"\s*(?:{_REFERENCE.pattern})"
)
_OTHER = re.compile(
    r"CL:|(?:\S+ )?surname\b|see (?:also\b|[A-Z])|(?:.* )?variant of\b|abbr\. of\b"
    r"|also (?:called|known|pr\.|translated|written)\b"
)
_ABBREVIATED = re.compile(r"(?:lit|fig)\.(?: (?:and|or) (?:lit|fig)\.)?\s*|^abbr\. for\s")


def read_glosses(files: Sequence[Path]) -> Iterator[tuple[str, ...]]:
    """Yield each sense of each entry with the simplified form, and with the traditional one where it differs.

    Traditional forms of one character are left out.

    Raises:
        DataError: A line is no entry.
    """
    for path in files:
        for number, line in read_lines(path):
            if line.startswith("#"):
                continue
            entry = _ENTRY.fullmatch(line)
            if entry is None:
                raise DataError(
                    f"{path}:{number}: {line[:60]!r} came; allowed: Traditional Simplified [pin1 yin1] /gloss/gloss/"
                )
            traditional, simplified, glosses = entry.groups()
            forms = [simplified]
            if traditional != simplified and len(traditional) >= 2:
                forms.append(traditional)
            for sense in senses(glosses):
                yield from ((sense, form) for form in forms)


def senses(glosses: str) -> Iterator[str]:
    """Yield the English senses of glosses that slashes and semicolons separate.

    Notes in parentheses go, and with them "lit.", "fig." and "abbr. for"; so do references to other entries behind an
    English name.
    A sense that only refers ("variant of …", "see …", "also called …", pronunciations), names measure words ("CL:")
    or a surname is left out.
    """
    for gloss in glosses.split("/"):
        for piece in _SENSE.findall(_without_notes(gloss)):
            sense = " ".join(piece.split())
            if _OTHER.match(sense) or _POINTS.search(sense):
                continue
            sense = _ABBREVIATED.sub("", _REFERENCE.sub("", sense))
            sense = re.sub(r"\s+([,.;:!?])", r"\1", sense).strip(" ,:")
            if sense and not set(sense) & set("()[]|"):
                yield sense


def _without_notes(gloss: str) -> str:
    """Remove parentheses with what they enclose, the innermost first."""
    while True:
        shorter = _NOTE.sub("", gloss)
        if shorter == gloss:
            return gloss
        gloss = shorter
