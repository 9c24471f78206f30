"""Schema-Guided Dialogue: JSON files, each a list of dialogues with turns that have an utterance."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scripts.opening_data.raw_files import read_json
from simlstm.data.errors import DataError


def read_utterances(files: Sequence[Path]) -> Iterator[tuple[str, ...]]:
    """Yield what user and system say, turn by turn.

    Raises:
        DataError: A file has another shape; the message names the dialogue.
    """
    for path in files:
        dialogues = read_json(path)
        if not isinstance(dialogues, list):
            raise DataError(f"{path}: {type(dialogues).__name__} came; allowed: a list of dialogues")
        for number, dialogue in enumerate(dialogues, start=1):
            for utterance in _utterances(dialogue):
                if utterance is None:
                    raise DataError(
                        f"{path}: dialogue {number} has another shape; allowed: a list of turns, each with an utterance"
                    )
                yield (utterance,)


def _utterances(dialogue: Any) -> Iterator[str | None]:
    """Yield the utterances of a dialogue; None in place of what is none."""
    match dialogue:
        case {"turns": [*turns]}:
            for turn in turns:
                match turn:
                    case {"utterance": str(utterance)}:
                        yield utterance
                    case _:
                        yield None
        case _:
            yield None
