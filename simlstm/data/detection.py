"""Which format a table has: told by the name of its file, by its header, or by its shape."""

import re
from pathlib import Path

from simlstm.data.errors import DataError
from simlstm.data.layouts import FORMATS, USUAL_NAMES, Columns, Format, Layout
from simlstm.data.tables import Table
from simlstm.data.targets import parse_score

CAPTION_COLUMNS = ("group", "sentence")


def names_of(table: Table) -> list[str]:
    """Return the names of the columns, or the cells of the first row where nobody knows whether it is a header."""
    return table.rows[0] if table.rows else list(table.columns)


def detect_format(table: Table) -> str:
    """Tell the format of a table: one of ``FORMATS``, ``captions``, or the table's shape for a generic file.

    The name of the file, then that of its folder, decide where they name a format that has this layout; a header that
    only one format has decides next.
    """
    for name in (table.path.name, table.path.absolute().parent.name):
        for format_name, published in FORMATS.items():
            if _is_hinted(published.hint, name) and fitting_layout(table, published) is not None:
                return format_name
    if set(CAPTION_COLUMNS) == {name.strip().lower() for name in names_of(table)}:
        return "captions"
    for format_name, published in FORMATS.items():
        layout = fitting_layout(table, published)
        if layout is not None and layout.distinctive:
            return format_name
    return table.shape


def fitting_layout(table: Table, published: Format) -> Layout | None:
    """Return the first layout of a format that the table's header, or its first row, can be read with."""
    names = {name.strip().lower() for name in names_of(table)}
    for layout in published.layouts:
        if layout.columns.has_header:
            wanted = {str(column).lower() for _, column in layout.columns.items()}
            # A layout without a target must not hide a column that could be one.
            if wanted == names or (wanted < names and layout.columns.target is not None):
                return layout
        elif table.rows and _first_row_fits(table.rows[0], layout):
            return layout
    return None


def generic_columns(table: Table) -> Columns:
    """Find the columns of a generic file by their usual names, or by shape: two texts and one number in a row.

    Raises:
        DataError: Neither tells.
    """
    names = {name.strip().lower(): name for name in names_of(table)}
    found = {
        meaning: next((names[usual] for usual in usuals if usual in names), None)
        for meaning, usuals in USUAL_NAMES.items()
    }
    sentence1, sentence2, target = found.pop("sentence1"), found.pop("sentence2"), found.pop("target")
    if sentence1 is not None and sentence2 is not None and target is not None:
        return Columns(sentence1, sentence2, target, **found)
    if table.rows and len(row := table.rows[0]) == 3:
        numeric = [index for index, cell in enumerate(row) if _is_number(cell)]
        if numeric == [2]:
            return Columns(0, 1, 2)
        if numeric == [0]:
            return Columns(1, 2, 0)
    formats = ", ".join((*FORMATS, "captions"))
    raise DataError(
        f"{table.path}:{table.lines[0]}: columns {names_of(table)} came, which do not tell the format; allowed: "
        f"format= one of {formats}; or columns=Columns(sentence1=..., sentence2=..., target=...)"
    )


def _first_row_fits(row: list[str], layout: Layout) -> bool:
    if len(row) != layout.width and not (layout.more and len(row) > layout.width):
        return False
    target = layout.columns.target
    return target is None or _is_number(row[int(target)])


def _is_number(cell: str) -> bool:
    try:
        parse_score(cell, (float("-inf"), float("inf")))
    except ValueError:
        return False
    return True


def _is_hinted(hint: str, name: str) -> bool:
    return re.search(rf"(?<![a-z])(?:{hint})(?![a-z])", Path(name).name.lower()) is not None
