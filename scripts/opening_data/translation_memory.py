"""TMX (translation memory exchange): units with a segment in each language."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

from simlstm.data.errors import DataError

_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"


def read_units(files: Sequence[Path]) -> Iterator[tuple[str, ...]]:
    """Yield the English and the Chinese segment of each unit.

    Raises:
        DataError: It is no XML, or a unit lacks a language.
    """
    for path in files:
        try:
            with path.open("rb") as file:
                yield from _read_units(path, file)
        except ElementTree.ParseError as error:
            raise DataError(f"{path}:{error.position[0]}: not XML: {error}") from error


def _read_units(path: Path, file: BinaryIO) -> Iterator[tuple[str, ...]]:
    count = 0
    # expat, from 2.4.1 on, refuses entities that blow up, and ElementTree loads no external ones.
    for _, element in ElementTree.iterparse(file):  # noqa: S314
        if element.tag != "tu":
            continue
        count += 1
        segments = {
            variant.get(_LANGUAGE, "").partition("-")[0].lower(): "".join(segment.itertext())
            for variant in element.iter("tuv")
            if (segment := variant.find("seg")) is not None
        }
        if not {"en", "zh"} <= segments.keys():
            came = ", ".join(sorted(segments)) or "no language"
            raise DataError(f"{path}: unit {count} ({element.get('tuid')}): {came} came; allowed: en and zh")
        yield segments["en"], segments["zh"]
        element.clear()
    if not count:
        raise DataError(f"{path}: no translation unit came; allowed: 1 and more")
