"""Lines of the load benchmark: throughput and latency over clients, goodput over load, memory over time."""

from collections.abc import Callable
from typing import Any

from scripts.benchmarking.colours import SERIES
from scripts.benchmarking.serving.records import LoadFigure, ServeReport, SoakReport, Spread


def serve_drawings(report: ServeReport) -> dict[str, Callable[[Any], None]]:
    """Return what draws each plot of a report, by the end of its name."""
    drawings: dict[str, Callable[[Any], None]] = {}
    if any(row.part == "single" for row in report.rows):
        drawings["throughput"] = lambda axes: _over_clients(
            axes, report, lambda figure: figure.requests_per_second, "single pairs a second"
        )
        drawings["p99"] = lambda axes: _over_clients(
            axes, report, lambda figure: figure.p99_ms, "99th percentile of the latency, ms"
        )
    if report.overload:
        drawings["overload"] = lambda axes: _goodput(axes, report)
    return drawings


def soak_drawings(report: SoakReport) -> dict[str, Callable[[Any], None]]:
    """Return what draws the server's memory over the time of a soak."""
    return {"memory": lambda axes: _memory(axes, report)}


def _over_clients(axes: Any, report: ServeReport, choose: Callable[[LoadFigure], Spread], label: str) -> None:
    rows = [row for row in report.rows if row.part == "single"]
    clients = [row.clients for row in rows]
    for name, colour in zip(rows[0].figures, SERIES, strict=False):
        spreads = [choose(row.figures[name]) for row in rows]
        axes.plot(clients, [spread.median for spread in spreads], marker="o", color=colour, label=name)
        low, high = zip(*(spread.quartiles for spread in spreads), strict=True)
        axes.fill_between(clients, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.set(xscale="log", yscale="log", xlabel="clients at once (logarithmic)", ylabel=label)
    axes.set_xticks(clients, [str(count) for count in clients])
    axes.set_xticks([], minor=True)


def _goodput(axes: Any, report: ServeReport) -> None:
    for things, colour in zip(dict.fromkeys(row.things for row in report.overload), SERIES, strict=False):
        rows = [row for row in report.overload if row.things == things]
        label = "single pairs" if things == 1 else f"{things} pairs a request"
        shares = [100 * row.goodput_share.median for row in rows]
        axes.plot([row.load for row in rows], shares, marker="o", color=colour, label=label)
    axes.axhline(90, color="black", linestyle=":", label="90% of the peak")
    axes.set(xlabel="requests sent, over the closed-loop peak", ylabel="right answers in time,\n% of the peak")
    axes.set_ylim(bottom=0)


def _memory(axes: Any, report: SoakReport) -> None:
    step = report.seconds / 60 / len(report.memory_mib)
    minutes = [number * step for number in range(len(report.memory_mib))]
    axes.plot(minutes, report.memory_mib, color=SERIES[0], label="all processes of the server")
    axes.set(xlabel="minutes", ylabel="memory, MiB")
    axes.set_ylim(bottom=0)
