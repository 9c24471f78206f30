"""The load benchmark's reports as Markdown."""

from collections.abc import Sequence

from scripts.benchmarking.markdown import table
from scripts.benchmarking.serving.records import AddedLatency, LoadRow, OverloadRow, ServeReport, SoakReport, Spread

_TITLES = {
    "single": ("Single pairs", "pairs"),
    "embeddings": ("Batches of {things} sentences to embed", "sentences"),
    "pairs": ("{things} pairs a request", "pairs"),
}


def serve_parts(report: ServeReport) -> list[str]:
    """Write tables of all that was measured."""
    parts = [f"The checkpoint {report.model}; {report.rounds} rounds of {report.seconds:g} s at each load:"]
    for part in _TITLES:
        rows = [row for row in report.rows if row.part == part]
        if rows:
            parts += _load(rows)
    if report.latency is not None:
        parts.append(_latency(report.latency))
    for things in dict.fromkeys(row.things for row in report.overload):
        parts += _overload([row for row in report.overload if row.things == things])
    peers = "; ".join(f"{name}: {what}" for name, what in report.peers.items())
    agreed = "; ".join(f"{name} {value:.1g}" for name, value in report.parity.items())
    hits = "not told" if report.cache_hits is None else f"{report.cache_hits:,}"
    return [
        *parts,
        *(f"{name} did not take part: {reason}." for name, reason in report.skipped.items()),
        f"Peers: {peers}. Largest differences before timing: {agreed}. {report.sentences:,} distinct sentences; "
        f"hits of our server's cache: {hits}. Closed loops by {report.wrk or 'nobody'}.",
    ]


def soak_parts(report: SoakReport) -> list[str]:
    """Write what a long run found."""
    verdict = "every answer was right" if not report.wrong and not report.failed else "**not every answer was right**"
    rows = [
        [
            kind,
            route.meaning,
            f"{route.answered:,}",
            f"{route.wrong:,}",
            f"{route.failed:,}",
            f"{route.largest_difference:.1g}",
        ]
        for kind, route in report.routes.items()
    ]
    header = ["request", "its numbers", "answered", "wrong", "failed", "largest difference"]
    memory = report.memory_mib
    sentences = "how many sentences came from its cache, the server does not say"
    if report.computed_sentences is not None and report.cached_sentences is not None:
        sentences = f"{report.computed_sentences:,} sentences computed, {report.cached_sentences:,} from a small cache"
    missing = f" Not offered by this server: {', '.join(report.not_offered)}." if report.not_offered else ""
    return [
        f"{report.seconds / 60:.1f} minutes of mixed load by {report.clients} clients on the checkpoint "
        f"{report.model}, {report.requests_per_second:,.0f} requests a second, {sentences}: {verdict}.",
        table(header, rows),
        f"Memory (PSS) {memory[0]:.0f} MiB at first, {memory[-1]:.0f} at the end; over the last four fifths, the "
        f"line through the samples grows by {report.memory_growth:.2%}, the last sample by {report.last_growth:.2%}. "
        f"Latency p50 {report.p50_ms:.1f} ms, p99 {report.p99_ms:.1f} ms, checking left out. "
        f"A difference above {report.tolerance:.0e} is wrong.{missing}",
        *(f"First trouble: {'; '.join(report.trouble)}." for _ in report.trouble[:1]),
    ]


def _load(rows: Sequence[LoadRow]) -> list[str]:
    title, unit = _TITLES[rows[0].part]
    names = list(rows[0].figures)
    header = ["clients"]
    for name in names:
        header += [f"{name} {unit}/s", "p50 · p95 · p99 ms"]
    return [f"{title.format(things=rows[0].things)}:", table(header, (_load_cells(row) for row in rows))]


def _load_cells(row: LoadRow) -> list[str]:
    cells = [str(row.clients)]
    for number, figure in enumerate(row.figures.values()):
        spread = figure.requests_per_second
        low, high = (row.things * quartile for quartile in spread.quartiles)
        shown = f"{row.things * spread.median:,.0f} ({low:,.0f}–{high:,.0f})"
        cells.append(f"{shown} · **{figure.ratio:.1f}×**" if number else shown)
        cells.append(" · ".join(_short(value.median) for value in (figure.p50_ms, figure.p95_ms, figure.p99_ms)))
    return cells


def _latency(latency: AddedLatency) -> str:
    return (
        f"One idle client, {latency.pairs} single pairs: {_spread(latency.http_ms)} ms over HTTP, "
        f"{_spread(latency.model_ms)} ms for the bare model call: **{latency.added_ms:.2f} ms** added."
    )


def _overload(rows: Sequence[OverloadRow]) -> list[str]:
    things = rows[0].things
    what = "Single pairs" if things == 1 else f"{things} pairs a request"
    header = [
        "load", "offered/s", "goodput/s", "of the peak", "refused", "accepted p50 · p99 ms", "refused p50 · p99 ms",
        "lost", "wrong of checked", "MiB before", "peak", "after", "generator",
    ]  # fmt: skip
    about = (
        f"{what} in an open loop, our server with a small queue; closed-loop peak {_spread(rows[0].peak)} requests a "
        "second:"
    )
    return [about, table(header, map(_overload_cells, rows))]


def _overload_cells(row: OverloadRow) -> list[str]:
    return [
        f"{row.load:g}×",
        f"{row.offered.median:,.0f}",
        f"{row.goodput.median:,.0f}",
        f"**{row.goodput_share.median:.0%}**",
        f"{row.refused_share.median:.0%}",
        _latencies(row.accepted_p50_ms, row.accepted_p99_ms),
        _latencies(row.refused_p50_ms, row.refused_p99_ms),
        str(row.lost),
        f"{row.wrong} of {row.checked:,}",
        f"{row.memory_before_mib.median:.0f}",
        f"{row.memory_peak_mib.median:.0f}",
        f"{row.memory_after_mib.median:.0f}",
        f"{row.generator_share.median:.0%}",
    ]


def _latencies(median: Spread | None, high: Spread | None) -> str:
    return "none" if median is None or high is None else f"{_short(median.median)} · {_short(high.median)}"


def _spread(spread: Spread) -> str:
    low, high = spread.quartiles
    return f"{_short(spread.median)} ({_short(low)}–{_short(high)})"


def _short(value: float) -> str:
    """Write three digits, or all that stand before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
