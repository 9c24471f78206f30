"""A file of made data, and the record beside it: OUT.json says what it was made from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.teaching.record import refuse_taken
from simlstm.data.tables import detect_shape


def check_target(out: Path) -> None:
    """Refuse a file that is there, or that no writer knows, before anything is computed.

    Raises:
        ValueError: Saying why.
    """
    refuse_taken(out)
    refuse_taken(record_file(out))
    detect_shape(out)
    if not out.parent.is_dir():
        raise ValueError(f"{out}: the folder {out.parent} does not exist")


def record_file(out: Path) -> Path:
    """Return the place of the record beside a file of data."""
    return out.with_name(f"{out.name}.json")


def write_record(out: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a file that is whole."""
    record_file(out).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def one_line(text: str) -> str:
    """Return a text without tabs and line breaks, which TSV cannot hold."""
    return " ".join(text.split()) if any(mark in text for mark in "\t\r\n") else text
