"""Pieces of Markdown that the tables share."""

from collections.abc import Iterable, Sequence

from scripts.benchmarking.records import Timing


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def milliseconds(timing: Timing) -> str:
    """Write a median with its quartiles, in milliseconds."""
    low, high = timing.quartiles_s
    return f"{1e3 * timing.median_s:.3g} ({1e3 * low:.3g}–{1e3 * high:.3g})"
