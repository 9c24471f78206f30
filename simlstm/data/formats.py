"""Reading sentence pairs: the published data sets, files with named columns, and the embedded demo corpus."""

from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

from simlstm.data.captions import pair_captions
from simlstm.data.detection import CAPTION_COLUMNS, detect_format, fitting_layout, generic_columns, names_of
from simlstm.data.errors import DataError
from simlstm.data.layouts import FORMATS, Columns
from simlstm.data.pairs import PairData
from simlstm.data.reader import TableReader
from simlstm.data.tables import Shape, Table, detect_shape, read_table

__all__ = ["Columns", "DataError", "read_pairs"]

_SHAPES = ("csv", "tsv", "jsonl", "parquet")


def read_pairs(
    source: str | Path,
    *,
    format: str = "auto",
    columns: Columns | None = None,
    score_range: tuple[float, float] | None = None,
    labelled: bool = True,
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
        labelled: False for a reader of sentences: the targets of a file with columns of its own are not looked at, and
            each is 1.

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
        if format != "auto" or columns is not None or score_range is not None:
            raise ValueError(f"format, columns, score_range: came with {source}; allowed: none, the demo knows its own")
        return _read_demo(str(source))
    path = Path(source)
    table = read_table(path, cast(Shape, format) if format in _SHAPES else detect_shape(path))
    is_guess = format == "auto"
    if is_guess:
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
        reader = TableReader(table, layout.columns, more=layout.more)
        pairs = reader.pairs(published.kind, score_range or published.score_range)
        if labelled and is_guess and not layout.distinctive and score_range is None:
            _check_guess(pairs, path, format)
        return pairs
    columns = columns or generic_columns(table)
    reader = TableReader(table, columns if labelled else replace(columns, target=None))
    if reader.columns.target is None:
        return reader.pairs("positive", (0, 1))
    return reader.pairs(*reader.infer_kind(score_range))


def _check_guess(pairs: PairData, path: Path, format_name: str) -> None:
    """Refuse a range that only the file's name speaks for, and that its scores contradict."""
    _, high = pairs.score_range
    if pairs.kind == "graded" and high > 1 and max(pairs.targets) <= 1:
        raise DataError(
            f"{path}: its name says format {format_name!r}, whose scores go to {high:g}, and no score is above 1; "
            f"name the format: {format_name!r} when they do, or csv, tsv for scores from 0 to 1"
        )


def _read_captions(table: Table) -> PairData:
    group, sentence = CAPTION_COLUMNS
    reader = TableReader(table, Columns(sentence, sentence, group=group))
    first, second, groups = pair_captions(reader.labels(group), reader.texts(sentence))
    if not first:
        raise DataError(f"{table.path}: no group has two captions; allowed: one such group and more")
    count = len(first)
    ids = list(map(str, range(1, count + 1)))
    return PairData(reader.name, first, second, [1.0] * count, "positive", (0, 1), ids, groups, None, table.sha256)


def _read_demo(source: str) -> PairData:
    language, _, split = source.removeprefix("demo:").rpartition(":")
    if split not in ("train", "dev", "test") or language not in ("", "en", "zh", "both"):
        raise DataError(
            f"{source}: allowed: demo:train, demo:dev, demo:test, or with a language: demo:en:train, demo:zh:dev"
        )
    from simlstm.data.demo import demo_pairs

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
