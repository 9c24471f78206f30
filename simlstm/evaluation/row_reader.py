"""Read the rows of a file of any size, one after the other: CSV, TSV, JSON lines or Parquet, each also gzipped."""

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simlstm.data.errors import DataError
from simlstm.data.tables import Shape, detect_shape

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RowReader:
    """A file whose rows have named columns; CSV and TSV need a header.

    Unlike `simlstm.data.read_pairs`, it holds one row at a time, and keeps columns that it knows nothing of.

    Attributes:
        path: The file.
        shape: How it is written, told by the extension.
        columns: Names in the order of the file; of JSON lines, those of the first row.
        schema: Parquet's column types, else None.
    """

    path: Path
    shape: Shape
    columns: list[str] = field(default_factory=list)
    schema: Any = None

    @classmethod
    def open(cls, path: str | Path) -> "RowReader":
        """Look at the start of a file.

        Raises:
            DataError: For a missing or empty file, an unknown extension, or a header that repeats a name.
            ImportError: For Parquet without pyarrow.
        """
        path = Path(path)
        shape = detect_shape(path)
        if not path.is_file():
            raise DataError(f"{path}: no such file")
        if shape == "parquet":
            schema = _parquet_file(path).schema_arrow
            return cls(path, shape, list(schema.names), schema)
        reader = cls(path, shape)
        if shape == "jsonl":
            first = next(reader._json_rows(), None)
            names = [] if first is None else list(first[1])
        else:
            header = next(reader._records(), None)
            names = [] if header is None else [name.strip() for name in header[1]]
        if not names:
            raise DataError(f"{path}:1: the file is empty; allowed: a header and rows")
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise DataError(f"{path}:1: the header has {sorted(repeated)[0]!r} twice; allowed: each name once")
        return cls(path, shape, names)

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Yield each row with its line (of Parquet, its number), from 1.

        Raises:
            DataError: For a row that cannot be read, naming file and line.
        """
        match self.shape:
            case "parquet":
                yield from self._parquet_rows()
            case "jsonl":
                yield from self._json_rows()
            case _:
                records = self._records()
                next(records)  # the header
                for line, cells in records:
                    if len(cells) != len(self.columns):
                        raise DataError(f"{self.path}:{line}: {len(cells)} cells; the header has {len(self.columns)}")
                    yield line, dict(zip(self.columns, cells, strict=True))

    def _lines(self) -> Iterator[str]:
        """Yield decoded lines with their ends."""
        number = 0
        with gzip.open(self.path) if self.path.suffix.lower() == ".gz" else self.path.open("rb") as file:
            try:
                for number, content in enumerate(file, 1):
                    yield content.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DataError(f"{self.path}:{number}: not UTF-8: {error.reason}") from error
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise DataError(f"{self.path}:{number + 1}: not a whole gzip file: {error}") from error

    def _full_lines(self) -> Iterator[tuple[int, str]]:
        """Yield the lines that are not blank, without their ends."""
        for number, line in enumerate(self._lines(), 1):
            if line.strip():
                yield number, line.rstrip("\r\n")

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the cells of each row; TSV is not quoted, CSV is (and may have line breaks in its cells)."""
        if self.shape == "tsv":
            yield from ((number, line.split("\t")) for number, line in self._full_lines())
            return
        reader = csv.reader(self._lines(), strict=True)
        number = 1
        try:
            for cells in reader:
                if cells:
                    yield number, cells
                number = reader.line_num + 1
        except csv.Error as error:
            raise DataError(f"{self.path}:{number}: the row that starts here is not CSV: {error}") from error

    def _json_rows(self) -> Iterator[tuple[int, Row]]:
        for number, line in self._full_lines():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{self.path}:{number}: not JSON: {error}; allowed: one object a line") from error
            if not isinstance(row, dict):
                raise DataError(f"{self.path}:{number}: a JSON {type(row).__name__} came; allowed: one object a line")
            yield number, row

    def _parquet_rows(self) -> Iterator[tuple[int, Row]]:
        number = 0
        for batch in _parquet_file(self.path).iter_batches(batch_size=4096):
            for row in batch.to_pylist():
                number += 1
                yield number, row


def _parquet_file(path: Path) -> Any:
    """Open a Parquet file by pyarrow, which is loaded only here."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError('Parquet needs pyarrow: pip install "simlstm[train]"') from error
    try:
        return pyarrow.parquet.ParquetFile(path)
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: not a Parquet file: {error}") from error
