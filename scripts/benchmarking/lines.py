"""Lines: what grows with the number of sentences."""

from typing import Any

from scripts.benchmarking.colours import COLOURS
from scripts.benchmarking.results import EncodeReport


def time_lines(axes: Any, report: EncodeReport) -> None:
    """Draw seconds over sentences for each precision, beside the line of a constant cost a sentence."""
    for precision, rows in _by_precision(report).items():
        counts = [row.sentences for row in rows]
        seconds = [row.timing.median_s for row in rows]
        colour = COLOURS[precision]
        axes.plot(counts, seconds, marker="o", color=colour, label=precision)
        # The line of the same cost a sentence as at the largest count.
        axes.plot(counts, [seconds[-1] * count / counts[-1] for count in counts], linestyle=":", color=colour)
    axes.plot([], [], linestyle=":", color="black", label="proportional to the sentences")
    axes.set(xscale="log", yscale="log", ylabel="seconds")
    _count_axis(axes, report)


def memory_lines(axes: Any, report: EncodeReport) -> None:
    """Draw what a call needs to work over sentences for each precision, beside the size of its result."""
    for precision, rows in _by_precision(report).items():
        counts = [row.sentences for row in rows]
        axes.plot(counts, [row.working_mib for row in rows], marker="o", color=COLOURS[precision], label=precision)
    first = next(iter(_by_precision(report).values()))
    counts = [row.sentences for row in first]
    axes.plot(counts, [row.result_mib for row in first], color="black", label="the vectors themselves")
    axes.set(xscale="log", ylabel="peak resident memory of the call\nbeyond its vectors, MiB")
    axes.set_ylim(bottom=0)
    _count_axis(axes, report)


def _count_axis(axes: Any, report: EncodeReport) -> None:
    counts = sorted({row.sentences for row in report.linearity})
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("sentences N (logarithmic)")


def _by_precision(report: EncodeReport) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = {}
    for row in report.linearity:
        grouped.setdefault(row.precision, []).append(row)
    return grouped
