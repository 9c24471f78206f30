"""The columns of a table as sentences and gold values, with errors that name file, line and column."""

from collections.abc import Callable
from typing import cast

from simlstm.data.detection import names_of
from simlstm.data.errors import DataError
from simlstm.data.layouts import Column, Columns, Kind
from simlstm.data.pairs import PairData
from simlstm.data.tables import MISSING, Table
from simlstm.data.targets import parse_label, parse_score

_UNBOUNDED = (float("-inf"), float("inf"))


class TableReader:
    """A table whose columns have a meaning; every message names file, line and column."""

    def __init__(self, table: Table, columns: Columns, *, more: bool = False) -> None:
        self.table = table
        self.columns = columns
        skip = 1 if table.rows and columns.has_header else 0
        self.lines = table.lines[skip:]
        self.rows = table.rows[skip:]
        self.name = "/".join(part for part in (table.path.parent.name, table.path.name) if part)
        if not self.lines:
            raise DataError(f"{table.path}:{table.lines[0]}: no row follows the header; allowed: 1 and more")
        if table.rows:
            self._check_widths(more=more)
        self._names = {name.strip().lower(): index for index, name in reversed(list(enumerate(names_of(table))))}

    def pairs(self, kind: Kind, score_range: tuple[float, float]) -> PairData:
        """Read all columns."""
        columns, count = self.columns, len(self.lines)
        if columns.target is None:
            targets = [1.0] * count
        elif kind == "graded":
            targets = self.values(columns.target, lambda cell: parse_score(cell, score_range))
        else:
            targets = self.values(columns.target, parse_label)
        return PairData(
            name=self.name,
            sentences1=self.texts(columns.sentence1),
            sentences2=self.texts(columns.sentence2),
            targets=targets,
            kind=kind,
            score_range=score_range,
            ids=list(map(str, range(1, count + 1))) if columns.id is None else self.labels(columns.id),
            groups=None if columns.group is None else self.labels(columns.group),
            sources=None if columns.source is None else self.labels(columns.source),
            sha256=self.table.sha256,
        )

    def infer_kind(self, score_range: tuple[float, float] | None) -> tuple[Kind, tuple[float, float]]:
        """Tell from the targets of a generic file what they are."""
        if score_range is not None:
            return "graded", score_range
        target = cast(Column, self.columns.target)
        scores = self.values(target, lambda cell: parse_score(cell, _UNBOUNDED))
        outside = next((row for row, score in enumerate(scores) if not 0 <= score <= 1), None)
        if outside is not None:
            reason = f"score {scores[outside]:g} came; allowed: 0 to 1, or name the range: score_range=(low, high)"
            raise self.error(outside, target, reason)
        return ("binary" if set(scores) <= {0.0, 1.0} else "graded"), (0, 1)

    def texts(self, column: Column) -> list[str]:
        """Read a column of sentences."""
        cells = self._cells(column)
        for row, cell in enumerate(cells):
            if not isinstance(cell, str):
                raise self.error(row, column, f"{_describe(cell)} came; allowed: text")
        return cast(list[str], cells)

    def labels(self, column: Column) -> list[str]:
        """Read a column of identifiers, which can be numbers."""
        cells = self._cells(column)
        for row, cell in enumerate(cells):
            if not isinstance(cell, str | int | float):
                raise self.error(row, column, f"{_describe(cell)} came; allowed: text or a number")
        return list(map(str, cells))

    def values(self, column: Column, parse: Callable[[object], float]) -> list[float]:
        """Read a column of targets."""
        values = []
        for row, cell in enumerate(self._cells(column)):
            try:
                values.append(parse(cell))
            except ValueError as error:
                reason = f"{_describe(cell)} came; allowed: a number" if cell is MISSING else str(error)
                raise self.error(row, column, reason) from error
        return values

    def error(self, row: int, column: Column, reason: str) -> DataError:
        """Build the error for one cell."""
        place = f"column {column + 1}" if isinstance(column, int) else f"column {column!r}"
        return DataError(f"{self.table.path}:{self.lines[row]}, {place}: {reason}")

    def _cells(self, column: Column) -> list[object]:
        names = names_of(self.table)
        index = column if isinstance(column, int) else self._names.get(column.strip().lower(), -1)
        if index == -1 or (isinstance(column, int) and not self.rows):
            raise DataError(f"{self.table.path}:{self.table.lines[0]}: no column {column!r}; the columns are {names}")
        if not self.rows:
            return self.table.columns[names[index]]
        if index >= len(self.rows[0]):
            raise DataError(f"{self.table.path}:{self.lines[0]}: no column {index + 1}; the columns are {len(names)}")
        return [row[index] for row in self.rows]

    def _check_widths(self, *, more: bool) -> None:
        width = len(self.table.rows[0])
        if set(map(len, self.rows)) == {width}:
            return
        least = max(cast(int, column) for _, column in self.columns.items()) + 1 if more else width
        for line, row in zip(self.lines, self.rows, strict=True):
            if len(row) < least or (not more and len(row) > width):
                raise DataError(
                    f"{self.table.path}:{line}: a row of {len(row)} columns came; allowed: {least}"
                    + (" and more" if more else f", as in line {self.table.lines[0]}")
                )


def _describe(cell: object) -> str:
    return "nothing" if cell is MISSING or cell is None else repr(cell)
