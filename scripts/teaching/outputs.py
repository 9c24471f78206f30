"""A file of made data, and the record beside it: OUT.json says what it was made from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.teaching.record import refuse_taken
from simlstm.data.tables import detect_shape
from simlstm.training.provenance import command_line


def check_target(out: Path) -> None:
    """Refuse a file that is there, or that no writer knows, before anything is computed.

    A record without its data is what the same command left when it died between the two; it is written anew.

    Raises:
        ValueError: Saying why.
    """
    refuse_taken(out)
    if not _is_left_by_this_command(record_file(out)):
        refuse_taken(record_file(out))
    detect_shape(out)
    if not out.parent.is_dir():
        raise ValueError(f"{out}: the folder {out.parent} does not exist")


def record_file(out: Path) -> Path:
    """Return the place of the record beside a file of data."""
    return out.with_name(f"{out.name}.json")


def write_record(out: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a file, just before the file takes its place; it appears when it is whole."""
    path = record_file(out)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def _is_left_by_this_command(path: Path) -> bool:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.get("command") == command_line()


def one_line(text: str) -> str:
    """Return a text without tabs and line breaks, which TSV cannot hold."""
    return " ".join(text.split()) if any(mark in text for mark in "\t\r\n") else text
