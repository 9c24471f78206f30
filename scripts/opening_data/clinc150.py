"""CLINC150: one JSON object of parts, each a list of ``[text, intent]``."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.opening_data.raw_files import read_json
from simlstm.data.errors import DataError

_PARTS = ("train", "oos_train")


def read_queries(files: Sequence[Path]) -> Iterator[tuple[str, ...]]:
    """Yield the texts of the train part and of the train part that has no intent.

    Raises:
        DataError: A part is missing, or an example is no pair of text and intent.
    """
    for path in files:
        content = read_json(path)
        for part in _PARTS:
            examples = content.get(part) if isinstance(content, dict) else None
            if not isinstance(examples, list):
                raise DataError(f"{path}: no list {part!r} came; allowed: an object with the lists {', '.join(_PARTS)}")
            for number, example in enumerate(examples, start=1):
                match example:
                    case [str(text), str()]:
                        yield (text,)
                    case _:
                        raise DataError(
                            f"{path}: {example!r} came as example {number} of {part}; allowed: [text, intent]"
                        )
