"""The plots of benchmarks/README.md, drawn from results files."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.benchmarking.optional import load_package
from scripts.benchmarking.peak import peak_of
from scripts.benchmarking.results import EncodeReport, EncodeRow, LayerReport, LayerRow, TrainReport, read_report

# Blue, orange, green, grey of Okabe and Ito, told apart by colour-blind readers, too.
_BLUE, _ORANGE, _GREEN, _GREY = "#0072b2", "#e69f00", "#009e73", "#999999"
_COLOURS = {
    "simlstm": _BLUE,
    "torch packed": _ORANGE,
    "torch padded": _GREEN,
    "ONNX Runtime": _GREY,
    "float32": _BLUE,
    "bfloat16": _ORANGE,
    "int8": _GREEN,
    "collate": _GREY,
    "forward": _BLUE,
    "backward": _ORANGE,
    "update": _GREEN,
}
_STYLE = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the reader's font
    "svg.hashsalt": "simlstm",  # the same results give the same file
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "figure.facecolor": "white",
}


def draw_report(file: Path, folder: Path) -> list[Path]:
    """Draw every plot of one results file; their names begin with its name.

    Args:
        file: What ``scripts/benchmark.py`` wrote.
        folder: Where the plots go; made when it does not exist.

    Returns:
        The SVG files written.

    Raises:
        MissingPackageError: when matplotlib is not installed.
        ValueError: when the file is no report.
    """
    report = read_report(file)
    folder.mkdir(parents=True, exist_ok=True)
    match report:
        case LayerReport():
            drawings = _layer_drawings(report)
        case EncodeReport():
            drawings = _encode_drawings(report)
        case TrainReport():
            drawings = {"parts": lambda axes: _training_parts(axes, report)}
    written = []
    for name, draw in drawings.items():
        target = folder / f"{file.stem}-{name}.svg"
        with _saved(target) as axes:
            draw(axes)
        written.append(target)
    return written


@contextmanager
def _saved(target: Path) -> Iterator[Any]:
    """Give axes to draw on, and write them as SVG; the legend stands where no bar reaches."""
    matplotlib = load_package("matplotlib", purpose="plots")
    figures = load_package("matplotlib.figure", purpose="plots")
    with matplotlib.rc_context(_STYLE):
        figure = figures.Figure(figsize=(9, 4.2), layout="constrained")
        axes = figure.add_subplot()
        yield axes
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=5, frameon=False)
        figure.savefig(target, format="svg", metadata={"Date": None})


def _layer_drawings(report: LayerReport) -> dict[str, Callable[[Any], None]]:
    drawings: dict[str, Callable[[Any], None]] = {}
    for mode, name in (("inference", "inference"), ("forward+backward", "training")):
        rows = [row for row in report.rows if row.mode == mode]
        if rows:
            peers = [candidate for candidate in rows[0].figures if candidate != "simlstm"]
            drawings[f"{name}-ratio"] = _ratio_drawing(
                rows, peers, f"{mode}: seconds over those\nof simlstm (1 = equal)"
            )
            drawings[f"{name}-rate"] = _rate_drawing(rows, ["simlstm", *peers], ("float32",), f"{mode}: GFLOP/s")
    return drawings


def _encode_drawings(report: EncodeReport) -> dict[str, Callable[[Any], None]]:
    drawings: dict[str, Callable[[Any], None]] = {}
    if report.rows:
        frozen = [name for name in report.rows[0].figures if name != "torch"]
        drawings["ratio"] = _ratio_drawing(
            report.rows, frozen, "seconds of the stock modules over those\nof the frozen encoder (1 = equal)"
        )
        drawings["rate"] = _rate_drawing(report.rows, frozen, ("float32", "bfloat16"), "recurrent products, GFLOP/s")
    if report.linearity:
        drawings["time"] = lambda axes: _time_lines(axes, report)
        if all(row.resident_peak_mib is not None for row in report.linearity):
            drawings["memory"] = lambda axes: _memory_lines(axes, report)
    return drawings


def _ratio_drawing(
    rows: Sequence[LayerRow] | Sequence[EncodeRow], names: Sequence[str], label: str
) -> Callable[[Any], None]:
    def draw(axes: Any) -> None:
        _bars(axes, _shapes(rows), {name: [row.figures[name].ratio for row in rows] for name in names}, "{:.1f}")
        axes.axhline(1, color="black", linewidth=1)
        axes.set_ylabel(label)

    return draw


def _rate_drawing(
    rows: Sequence[LayerRow] | Sequence[EncodeRow], names: Sequence[str], dtypes: Sequence[str], label: str
) -> Callable[[Any], None]:
    def draw(axes: Any) -> None:
        _bars(axes, _shapes(rows), {name: [row.figures[name].gflops for row in rows] for name in names}, "{:.0f}")
        for dtype, line in zip(dtypes, ("-", "--"), strict=False):
            rates = [peak_of(row.peaks, dtype) for row in rows]
            axes.step(
                range(len(rows)), rates, where="mid", color="black", linestyle=line, label=f"{dtype} matrix product"
            )
        axes.set_ylabel(label)

    return draw


def _shapes(rows: Sequence[LayerRow] | Sequence[EncodeRow]) -> list[str]:
    return [f"{row.hidden_size}\n{row.batch}" for row in rows]


def _bars(axes: Any, groups: Sequence[str], series: Mapping[str, Sequence[float]], number: str) -> None:
    """Draw a group of bars for each shape, each with its value."""
    width = 0.8 / len(series)
    for place, (name, values) in enumerate(series.items()):
        positions = [group + (place - (len(series) - 1) / 2) * width for group in range(len(groups))]
        bars = axes.bar(positions, values, width, label=name, color=_COLOURS[name])
        axes.bar_label(bars, [number.format(value) for value in values], fontsize=7, padding=1)
    axes.set_xticks(range(len(groups)), groups)
    axes.set_xlabel("hidden size H (units per direction) over batch B (sentences)")


def _time_lines(axes: Any, report: EncodeReport) -> None:
    for precision, rows in _by_precision(report).items():
        counts = [row.sentences for row in rows]
        seconds = [row.timing.median_s for row in rows]
        colour = _COLOURS[precision]
        axes.plot(counts, seconds, marker="o", color=colour, label=precision)
        # The line of the same cost a sentence as at the largest count.
        axes.plot(counts, [seconds[-1] * count / counts[-1] for count in counts], linestyle=":", color=colour)
    axes.plot([], [], linestyle=":", color="black", label="proportional to the sentences")
    axes.set(xscale="log", yscale="log", ylabel="seconds")
    _count_axis(axes, report)


def _memory_lines(axes: Any, report: EncodeReport) -> None:
    for precision, rows in _by_precision(report).items():
        counts = [row.sentences for row in rows]
        beyond = [
            (row.resident_peak_mib or math.nan) - (row.resident_before_mib or math.nan) - row.result_mib for row in rows
        ]
        axes.plot(counts, beyond, marker="o", color=_COLOURS[precision], label=precision)
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


def _training_parts(axes: Any, report: TrainReport) -> None:
    """Stack the parts of a step, one bar for each layer."""
    names = list(report.figures)
    bottoms = [0.0] * len(names)
    for part in report.figures[names[0]].parts:
        heights = [1e3 * report.figures[name].parts[part] for name in names]
        bars = axes.barh(names, heights, left=bottoms, label=part, color=_COLOURS[part])
        axes.bar_label(bars, [f"{height:.1f}" for height in heights], label_type="center", fontsize=8)
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="median time of a training step, ms", ylabel="recurrent layer")
