"""The plots of CUDA reports."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from scripts.benchmarking.bars import grouped_bars
from scripts.benchmarking.colours import COLOURS
from scripts.benchmarking.cuda.records import CudaEncodeReport, CudaEncodeRow, CudaLayerReport, CudaLayerRow

Drawing = Callable[[Any], None]
_MODES = {"inference": "inference", "forward+backward": "training"}
_PALETTE = list(dict.fromkeys(COLOURS.values()))
_TARGET = 1_000_000  # sentences a second


def layer_drawings(report: CudaLayerReport) -> dict[str, Drawing]:
    """Return what draws, for each mode, ratios and roofline shares of every stack, and µs a step of the first."""
    drawings: dict[str, Drawing] = {}
    for mode, name in _MODES.items():
        rows = [row for row in report.rows if row.mode == mode]
        if rows:
            ratios = _by_stack(rows, lambda row: row.over["best"])
            shares = _by_stack(rows, lambda row: 100 * row.figures["simlstm"].roofline_share)
            drawings[f"{name}-ratio"] = partial(
                _bars, groups=_shapes(rows), series=ratios, number="{:.1f}", equal=1.0,
                label=f"{mode}: seconds of the fastest peer\nover those of simlstm (1 = equal)",
            )  # fmt: skip
            drawings[f"{name}-roofline"] = partial(
                _bars, groups=_shapes(rows), series=shares, number="{:.0f}", label=f"{mode}: % of the roofline"
            )
            first = [row for row in rows if _stack(row) == _stack(rows[0])]
            drawings[f"{name}-steps"] = partial(
                _bars, groups=_shapes(first), series=_steps(first), number="{:.1f}", logarithmic=True,
                label=f"{mode}, {_stack(rows[0])}: µs a step",
            )  # fmt: skip
    return drawings


def encode_drawings(report: CudaEncodeReport) -> dict[str, Drawing]:
    """Return what draws sentences a second of every candidate, beside the rate that is aimed at."""
    if not report.rows:
        return {}
    names = list(dict.fromkeys(name for row in report.rows for name in row.figures))
    series = {name: [_rate(row, name) for row in report.rows] for name in names}
    groups = [f"{row.hidden_size}\n{row.batch}" for row in report.rows]
    rates = partial(
        _bars, groups=groups, series=series, number="{:,.0f}", equal=_TARGET, logarithmic=True,
        label="sentences a second",
    )  # fmt: skip
    return {"rate": rates}


def _bars(
    axes: Any,
    *,
    groups: Sequence[str],
    series: Mapping[str, Sequence[float]],
    number: str,
    label: str,
    equal: float | None = None,
    logarithmic: bool = False,
) -> None:
    """Draw groups of bars, and a line across where one is given."""
    colours = {name: _PALETTE[place % len(_PALETTE)] for place, name in enumerate(series)}
    grouped_bars(axes, groups, series, number, colours)
    if equal is not None:
        axes.axhline(equal, color="black", linewidth=1)
    if logarithmic:
        axes.set_yscale("log")
    axes.set_ylabel(label)


def _shapes(rows: Sequence[CudaLayerRow]) -> list[str]:
    return list(dict.fromkeys(f"{row.hidden_size}\n{row.batch}" for row in rows))


def _stack(row: CudaLayerRow) -> str:
    return f"{row.num_layers} layer{'s' * (row.num_layers > 1)}, mean length {row.mean_length:g}"


def _by_stack(rows: Sequence[CudaLayerRow], value: Callable[[CudaLayerRow], float]) -> dict[str, list[float]]:
    """Return a value for each stack and mean length at every shape; NaN where it was not measured."""
    found = {(_stack(row), f"{row.hidden_size}\n{row.batch}"): value(row) for row in rows}
    return {
        stack: [found.get((stack, shape), math.nan) for shape in _shapes(rows)]
        for stack in dict.fromkeys(_stack(row) for row in rows)
    }


def _steps(rows: Sequence[CudaLayerRow]) -> dict[str, list[float]]:
    """Return µs a step of ours, of its graph, and of the fastest of each kind of peer."""
    steps: dict[str, list[float]] = {"simlstm": [], "simlstm CUDA graph": [], "torch packed": [], "torch padded": []}
    for row in rows:
        for name, values in steps.items():
            found = row.figures.get(row.fastest.get(name.removeprefix("torch "), name))
            values.append(math.nan if found is None else found.us_per_step)
    return {name: values for name, values in steps.items() if not all(map(math.isnan, values))}


def _rate(row: CudaEncodeRow, name: str) -> float:
    figure = row.figures.get(name)
    return math.nan if figure is None else figure.sentences_per_second
