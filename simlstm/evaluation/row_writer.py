"""Write rows to a file that appears only when it is whole: CSV, TSV, JSON lines or Parquet, each also gzipped."""

import csv
import gzip
import io
import json
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from simlstm.data.errors import DataError
from simlstm.data.tables import detect_shape
from simlstm.evaluation.row_reader import Row


class RowWriter(ABC):
    """Writes rows of named columns."""

    @abstractmethod
    def write(self, rows: Sequence[tuple[int, Row]]) -> None:
        """Write rows, each with its line in the input, for messages.

        Raises:
            DataError: For a row that this kind of file cannot hold.
        """

    def close(self) -> None:  # noqa: B027 - only some kinds have an end
        """Write what belongs at the end."""


class _Delimited(RowWriter):
    """CSV with quotes where needed; TSV without, so that a tab or a line break in a cell is refused."""

    def __init__(self, file: IO[bytes], columns: Sequence[str], *, quoted: bool) -> None:
        self._file = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        self._columns = list(columns)
        self._csv = csv.writer(self._file, lineterminator="\n") if quoted else None
        self._put(self._columns, 1)

    def write(self, rows: Sequence[tuple[int, Row]]) -> None:
        for line, row in rows:
            other = row.keys() - set(self._columns)
            if other:
                raise DataError(f"line {line}: has {sorted(other)[0]!r}, which the first row lacks; write JSON lines")
            self._put([_cell(row.get(name)) for name in self._columns], line)

    def _put(self, cells: list[str], line: int) -> None:
        if self._csv is not None:
            self._csv.writerow(cells)
            return
        if any(mark in cell for cell in cells for mark in "\t\r\n"):
            raise DataError(f"line {line}: a cell has a tab or line break, which TSV cannot hold; write CSV")
        self._file.write("\t".join(cells) + "\n")

    def close(self) -> None:
        self._file.flush()
        self._file.detach()


class _JsonLines(RowWriter):
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, rows: Sequence[tuple[int, Row]]) -> None:
        for _, row in rows:
            try:
                line = json.dumps(row, ensure_ascii=False, default=str).encode()
            except UnicodeEncodeError:  # a lone surrogate, which JSON can only escape
                line = json.dumps(row, default=str).encode()
            self._file.write(line + b"\n")


class _Parquet(RowWriter):
    """Column types are the input's, when it is Parquet too; else those of the first rows."""

    def __init__(self, file: IO[bytes], columns: Sequence[str], types: Mapping[str, str], schema: Any) -> None:
        import pyarrow
        import pyarrow.parquet

        self._arrow, self._parquet = pyarrow, pyarrow.parquet
        self._file, self._columns = file, list(columns)
        self._types: dict[str, Any] = {} if schema is None else dict(zip(schema.names, schema.types, strict=True))
        self._types |= {name: pyarrow.type_for_alias(alias) for name, alias in types.items()}
        self._writer: Any = None

    def write(self, rows: Sequence[tuple[int, Row]]) -> None:
        values = {name: [row.get(name) for _, row in rows] for name in self._columns}
        try:
            arrays = {name: self._arrow.array(cells, type=self._types.get(name)) for name, cells in values.items()}
        except (self._arrow.ArrowException, TypeError) as error:
            raise DataError(f"lines {rows[0][0]} to {rows[-1][0]}: not of one type for Parquet: {error}") from error
        table = self._arrow.table(arrays)
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(self._file, table.schema)
            self._types = dict(zip(table.schema.names, table.schema.types, strict=True))
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is None:
            self.write([])
        self._writer.close()


@contextmanager
def open_writer(
    path: str | Path, columns: Sequence[str], *, types: Mapping[str, str], schema: Any = None
) -> Iterator[RowWriter]:
    """Open a file for rows; it takes its place at the end of the block, and not at all after an error.

    Args:
        path: The file; its extension says how it is written.
        columns: Names, in order.
        types: Parquet types of some columns, such as ``{"score": "float32"}``.
        schema: A pyarrow schema with the types of others.

    Raises:
        DataError: For an extension that is not known.
        ValueError: For a path whose folder does not exist, or that is a folder itself.
    """
    path = Path(path)
    shape = detect_shape(path)
    if not path.parent.is_dir():
        raise ValueError(f"{path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise ValueError(f"{path}: is a folder; allowed: a file")
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as raw:
            file: IO[bytes] = gzip.GzipFile(fileobj=raw, mode="wb") if path.suffix.lower() == ".gz" else raw  # type: ignore[assignment]
            match shape:
                case "parquet":
                    writer: RowWriter = _Parquet(file, columns, types, schema)
                case "jsonl":
                    writer = _JsonLines(file)
                case _:
                    writer = _Delimited(file, columns, quoted=shape == "csv")
            yield writer
            writer.close()
            if file is not raw:
                file.close()
            raw.flush()
            os.fsync(raw.fileno())
        # mkstemp keeps others out; a result is as readable as any new file.
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o666 & ~umask)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _cell(value: Any) -> str:
    """Write one value as text: nothing for null, JSON's words for booleans, JSON for what has parts."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case list() | dict():
            return json.dumps(value, ensure_ascii=False, default=str)
        case _:
            return str(value)
