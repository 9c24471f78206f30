"""Reading sentence pairs: the published data sets, files with named columns, and the embedded demo corpus."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

from simlstm.data.captions import pair_captions
from simlstm.data.detection import CAPTION_COLUMNS, detect_format, fitting_layout, generic_columns, names_of
from simlstm.data.errors import DataError
from simlstm.data.layouts import FORMATS, Column, Columns, Kind
from simlstm.data.pairs import PairData
from simlstm.data.tables import MISSING, Shape, Table, detect_shape, read_table
from simlstm.data.targets import parse_label, parse_score

__all__ = ["Columns", "DataError", "read_pairs"]

_SHAPES = ("csv", "tsv", "jsonl", "parquet")
_UNBOUNDED = (float("-inf"), float("inf"))


def read_pairs(
    source: str | Path,
    *,
    format: str = "auto",
    columns: Columns | None = None,
    score_range: tuple[float, float] | None = None,
) -> PairData:
    """Read sentence pairs.

    Args:
        source: A file (.csv .tsv .txt .jsonl .ndjson .json .parquet, each also .gz), or a part of the demo corpus:
            ``demo:train``, ``demo:dev``, ``demo:test``, ``demo:en:train``, ``demo:zh:dev``.
        format: A published layout (stsb sick mrpc qqp paws lcqmc bq atec afqmc graded paraphrase captions), or csv,
            tsv, jsonl, parquet for a file with columns of its own; ``auto`` finds out.
        columns: Which column means what, for a file with columns of its own; else they go by their usual names.
        score_range: Lowest and highest score of graded data; needed for a file with columns of its own, unless its
            targets lie within [0, 1]. Without it, targets that are all 0 or 1 are labels.

    Raises:
        DataError: The file cannot be read; the message names file, line and column.
        ValueError: The arguments contradict each other.
        ImportError: Parquet came, and pyarrow is not installed.
    """
    if format not in (allowed := ("auto", *FORMATS, "captions", *_SHAPES)):
        raise ValueError(f"format: {format!r} came; allowed: {', '.join(allowed)}")
    if columns is not None and format not in ("auto", *_SHAPES):
        raise ValueError(
            f"columns: came with format={format!r}, which names its own; allowed with: {', '.join(_SHAPES)}"
        )
    if score_range is not None and not score_range[0] < score_range[1]:
        raise ValueError(f"score_range: {score_range} came; allowed: a lower and a higher value")
    if str(source).startswith("demo:"):
        return _read_demo(str(source))
    path = Path(source)
    table = read_table(path, cast(Shape, format) if format in _SHAPES else detect_shape(path))
    if format == "auto":
        format = table.shape if columns is not None else detect_format(table)
    if format == "captions":
        return _read_captions(table)
    if format in FORMATS:
        published = FORMATS[format]
        layout = fitting_layout(table, published)
        if layout is None:
            raise DataError(_layout_message(table, format))
        if score_range is not None and published.kind != "graded":
            raise ValueError(f"score_range: came with format={format!r}, whose targets are {published.kind}")
        reader = _Reader(table, layout.columns, more=layout.more)
        return reader.pairs(published.kind, score_range or published.score_range)
    reader = _Reader(table, columns or generic_columns(table))
    if reader.columns.target is None:
        return reader.pairs("positive", (0, 1))
    return reader.pairs(*reader.infer_kind(score_range))


class _Reader:
    """A table whose columns have a meaning; every message names file, line and column."""

    def __init__(self, table: Table, columns: Columns, *, more: bool = False) -> None:
        self.table = table
        self.columns = columns
        skip = 1 if table.rows and columns.has_header else 0
        self.lines = table.lines[skip:]
        self.rows = table.rows[skip:]
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
            name=_name(self.table.path),
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


def _read_captions(table: Table) -> PairData:
    group, sentence = CAPTION_COLUMNS
    reader = _Reader(table, Columns(sentence, sentence, group=group))
    first, second, groups = pair_captions(reader.labels(group), reader.texts(sentence))
    if not first:
        raise DataError(f"{table.path}: no group has two captions; allowed: one such group and more")
    count = len(first)
    ids = list(map(str, range(1, count + 1)))
    return PairData(
        _name(table.path), first, second, [1.0] * count, "positive", (0, 1), ids, groups, None, table.sha256
    )


def _read_demo(source: str) -> PairData:
    from simlstm.data.demo import demo_pairs

    language, _, split = source.removeprefix("demo:").rpartition(":")
    if split not in ("train", "dev", "test") or language not in ("", "en", "zh", "both"):
        raise DataError(
            f"{source}: allowed: demo:train, demo:dev, demo:test, or with a language: demo:en:train, demo:zh:dev"
        )
    return demo_pairs(
        cast(Literal["train", "dev", "test"], split), language=cast(Literal["en", "zh", "both"], language or "both")
    )


def _layout_message(table: Table, format_name: str) -> str:
    layouts = []
    for layout in FORMATS[format_name].layouts:
        columns = [f"{meaning} = {column!r}" for meaning, column in layout.columns.items()]
        layouts.append(
            ("" if layout.columns.has_header else f"no header, {layout.width} columns, ") + ", ".join(columns)
        )
    return (
        f"{table.path}:{table.lines[0]}: columns {names_of(table)} are no layout of format {format_name!r}; "
        f"allowed: {' | '.join(layouts)}"
    )


def _name(path: Path) -> str:
    return "/".join(part for part in (path.parent.name, path.name) if part)


def _describe(cell: object) -> str:
    return "nothing" if cell is MISSING or cell is None else repr(cell)
