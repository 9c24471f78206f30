"""Files as tables of named or numbered columns, each cell with its line: CSV, TSV, JSON lines, Parquet."""

import csv
import gzip
import hashlib
import importlib
import io
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from simlstm.data.errors import DataError

Shape = Literal["csv", "tsv", "jsonl", "parquet"]

SHAPES: dict[str, Shape] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}


@dataclass(frozen=True)
class Table:
    """The rows of a file, before anybody knows what they mean.

    Attributes:
        path: The file, for messages.
        sha256: Of its bytes as they lie on the disk.
        shape: How the file is written.
        lines: Line of each row, from 1 (of Parquet, the number of the row).
        rows: Cells as text, for CSV and TSV (a header is a row like any other); else empty.
        columns: Cells by name, for JSON lines and Parquet; else empty. A missing cell is ``MISSING``.
    """

    path: Path
    sha256: str
    shape: Shape
    lines: Sequence[int]
    rows: list[list[str]] = field(default_factory=list)
    columns: dict[str, list[object]] = field(default_factory=dict)


MISSING = object()


def detect_shape(path: Path) -> Shape:
    """Tell from the file's name how it is written.

    Raises:
        DataError: The extension is none of the known ones.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    if suffix not in SHAPES:
        allowed = ", ".join(SHAPES)
        raise DataError(f"{path}: extension {suffix!r} came; allowed: {allowed}, each also with .gz, or format=")
    return SHAPES[suffix]


def read_table(path: Path, shape: Shape) -> Table:
    """Read a file, ``.gz`` or not, as a table.

    TSV is not quoted: a quotation mark is a character like any other, as in all the published sets. CSV is quoted
    (RFC 4180). A byte-order mark, CRLF and blank lines are accepted.

    Raises:
        DataError: The file is missing, empty, damaged, not UTF-8 or ragged.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    if path.suffix.lower() == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: not a whole gzip file: {error}") from error
    if shape == "parquet":
        columns = _read_parquet(path, content)
        rows_read = len(next(iter(columns.values()), []))
        if not rows_read:
            raise DataError(f"{path}: the file has no rows; allowed: 1 and more")
        return Table(path, sha256, shape, range(1, rows_read + 1), columns=columns)
    text = _decode(path, content)
    if not text or text.isspace():
        raise DataError(f"{path}:1: the file is empty; allowed: 1 row and more")
    if shape == "jsonl":
        lines, columns = _read_json_lines(path, text)
        return Table(path, sha256, shape, lines, columns=columns)
    first_line = text[: text.find("\n")]
    if shape == "csv" and first_line.count("\t") > max(1, first_line.count(",")):
        shape = "tsv"  # the STS benchmark was released as tab-separated .csv
    lines, rows = _read_csv(path, text) if shape == "csv" else _read_tsv(text)
    return Table(path, sha256, shape, lines, rows=rows)


def _decode(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The decoder counts from behind the byte-order mark.
        offset = error.start + (len(content) - len(error.object))
        line = content.count(b"\n", 0, offset) + 1
        raise DataError(f"{path}:{line}: byte {offset} is {content[offset]:#04x}; allowed: UTF-8 text") from error


def _read_tsv(text: str) -> tuple[Sequence[int], list[list[str]]]:
    # str.splitlines would also cut at U+2028, form feeds and other characters that stand within sentences.
    lines = text.replace("\r\n", "\n").split("\n")
    numbers = [number for number, line in enumerate(lines, 1) if line and not line.isspace()]
    return numbers, [lines[number - 1].split("\t") for number in numbers]


def _read_csv(path: Path, text: str) -> tuple[Sequence[int], list[list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    numbers: list[int] = []
    rows: list[list[str]] = []
    first_line = 1
    try:
        for row in reader:
            if row:
                numbers.append(first_line)
                rows.append(row)
            first_line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{first_line}: the row that starts here is not CSV: {error}") from error
    return numbers, rows


def _read_json_lines(path: Path, text: str) -> tuple[Sequence[int], dict[str, list[object]]]:
    numbers: list[int] = []
    columns: dict[str, list[object]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line or line.isspace():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{number}: not JSON: {error}; allowed: one JSON object a line") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: a JSON {type(row).__name__} came; allowed: one JSON object a line")
        for name in row:
            if name not in columns:
                columns[name] = [MISSING] * len(numbers)
        for name, cells in columns.items():
            cells.append(row.get(name, MISSING))
        numbers.append(number)
    return numbers, columns


def _read_parquet(path: Path, content: bytes) -> dict[str, list[object]]:
    try:
        pyarrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ImportError('Parquet needs pyarrow: pip install "simlstm[train]"') from error
    try:
        table = parquet.read_table(pyarrow.BufferReader(content))
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: not a Parquet file: {error}") from error
    return {name: table.column(name).to_pylist() for name in table.column_names}
