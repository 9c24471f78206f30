"""Bars: ratios and rates of each shape, and the parts of a training step."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scripts.benchmarking.colours import COLOURS
from scripts.benchmarking.cuda.records import CudaTrainReport
from scripts.benchmarking.peak import peak_of
from scripts.benchmarking.results import EncodeRow, LayerRow, TrainReport


def ratio_drawing(
    rows: Sequence[LayerRow] | Sequence[EncodeRow], names: Sequence[str], label: str
) -> Callable[[Any], None]:
    """Return what draws the ratios of some candidates on matplotlib axes, and a line where both are equal."""

    def draw(axes: Any) -> None:
        grouped_bars(axes, _shapes(rows), {name: [row.figures[name].ratio for row in rows] for name in names}, "{:.1f}")
        axes.axhline(1, color="black", linewidth=1)
        axes.set_ylabel(label)

    return draw


def rate_drawing(
    rows: Sequence[LayerRow] | Sequence[EncodeRow], names: Sequence[str], dtypes: Sequence[str], label: str
) -> Callable[[Any], None]:
    """Return what draws the rates of some candidates, and the peak of each dtype as a line over the shapes."""

    def draw(axes: Any) -> None:
        grouped_bars(
            axes, _shapes(rows), {name: [row.figures[name].gflops for row in rows] for name in names}, "{:.0f}"
        )
        for dtype, line in zip(dtypes, ("-", "--"), strict=False):
            rates = [peak_of(row.peaks, dtype) for row in rows]
            axes.step(
                range(len(rows)), rates, where="mid", color="black", linestyle=line, label=f"{dtype} matrix product"
            )
        axes.set_ylabel(label)

    return draw


def _shapes(rows: Sequence[LayerRow] | Sequence[EncodeRow]) -> list[str]:
    return [f"{row.hidden_size}\n{row.batch}" for row in rows]


def grouped_bars(
    axes: Any,
    groups: Sequence[str],
    series: Mapping[str, Sequence[float]],
    number: str,
    colours: Mapping[str, str] = COLOURS,
) -> None:
    """Draw a group of bars for each shape, each with its value; NaN draws none."""
    width = 0.8 / len(series)
    for place, (name, values) in enumerate(series.items()):
        positions = [group + (place - (len(series) - 1) / 2) * width for group in range(len(groups))]
        bars = axes.bar(positions, values, width, label=name, color=colours[name])
        axes.bar_label(
            bars, ["" if math.isnan(value) else number.format(value) for value in values], fontsize=7, padding=1
        )
    axes.set_xticks(range(len(groups)), groups)
    axes.set_xlabel("hidden size H (units per direction) over batch B (sentences)")


def training_parts(axes: Any, report: TrainReport | CudaTrainReport) -> None:
    """Stack the parts of a step, one bar for each layer."""
    names = list(report.figures)
    bottoms = [0.0] * len(names)
    parts = {name: figure.parts for name, figure in report.figures.items()}
    for part in parts[names[0]]:
        heights = [1e3 * parts[name][part] for name in names]
        bars = axes.barh(names, heights, left=bottoms, label=part, color=COLOURS[part])
        axes.bar_label(bars, [f"{height:.1f}" for height in heights], label_type="center", fontsize=8)
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="median time of a training step, ms", ylabel="recurrent layer")
