"""One cell as a gold value; the messages say what came and what is allowed, the caller adds where."""

_LABELS: dict[object, float] = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, 0: 0.0, 1: 1.0}


def parse_label(cell: object) -> float:
    """Read a 0/1 label, from text or a number.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(cell, str):
        cell = cell.strip()
    if isinstance(cell, str | int | float) and cell in _LABELS:
        return _LABELS[cell]
    raise ValueError(f"label {cell!r} came; allowed: 0 or 1")


def parse_score(cell: object, score_range: tuple[float, float]) -> float:
    """Read a score, from text or a number.

    Raises:
        ValueError: It is no number, or outside of the range.
    """
    low, high = score_range
    # float() would take "1_0" for ten.
    if isinstance(cell, str | int | float) and "_" not in str(cell):
        try:
            score = float(cell)
        except (ValueError, OverflowError):
            pass
        else:
            if low <= score <= high:
                return score
    raise ValueError(f"score {cell!r} came; allowed: a number from {low:g} to {high:g}")
