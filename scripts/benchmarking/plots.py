"""The plots of benchmarks/README.md, drawn from results files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.benchmarking.bars import rate_drawing, ratio_drawing, training_parts
from scripts.benchmarking.cuda.plots import encode_drawings, layer_drawings
from scripts.benchmarking.cuda.records import CudaEncodeReport, CudaLayerReport, CudaTrainReport
from scripts.benchmarking.kernel_records import KernelReport
from scripts.benchmarking.lines import memory_lines, time_lines
from scripts.benchmarking.optional import load_package
from scripts.benchmarking.results import EncodeReport, LayerReport, TrainReport, read_report
from scripts.benchmarking.serving.plots import serve_drawings, soak_drawings
from scripts.benchmarking.serving.records import ServeReport, SoakReport

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
            drawings = {"parts": lambda axes: training_parts(axes, report)}
        case CudaLayerReport():
            drawings = layer_drawings(report)
        case CudaEncodeReport():
            drawings = encode_drawings(report)
        case CudaTrainReport():
            drawings = {"parts": lambda axes: training_parts(axes, report)}
        case KernelReport():
            drawings = {}  # a table says it all
        case ServeReport():
            drawings = serve_drawings(report)
        case SoakReport():
            drawings = soak_drawings(report)
    written = []
    for name, draw in drawings.items():
        target = folder / f"{file.stem}-{name}.svg"
        with saved_plot(target) as axes:
            draw(axes)
        written.append(target)
    return written


@contextmanager
def saved_plot(target: Path) -> Iterator[Any]:
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
            drawings[f"{name}-ratio"] = ratio_drawing(
                rows, peers, f"{mode}: seconds over those\nof simlstm (1 = equal)"
            )
            drawings[f"{name}-rate"] = rate_drawing(rows, ["simlstm", *peers], ("float32",), f"{mode}: GFLOP/s")
    return drawings


def _encode_drawings(report: EncodeReport) -> dict[str, Callable[[Any], None]]:
    drawings: dict[str, Callable[[Any], None]] = {}
    if report.rows:
        frozen = [name for name in report.rows[0].figures if name != "torch"]
        drawings["ratio"] = ratio_drawing(
            report.rows, frozen, "seconds of the stock modules over those\nof the frozen encoder (1 = equal)"
        )
        drawings["rate"] = rate_drawing(report.rows, frozen, ("float32", "bfloat16"), "recurrent products, GFLOP/s")
    if report.linearity:
        drawings["time"] = lambda axes: time_lines(axes, report)
        if all(row.working_mib is not None for row in report.linearity):
            drawings["memory"] = lambda axes: memory_lines(axes, report)
    return drawings
