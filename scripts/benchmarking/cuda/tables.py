"""Reports of CUDA runs as Markdown."""

from collections.abc import Iterable, Sequence

from scripts.benchmarking.cuda.records import (
    CudaEncodeReport,
    CudaEncodeRow,
    CudaLayerReport,
    CudaLayerRow,
    CudaReport,
    CudaTrainReport,
    Gpu,
    StepRow,
)
from scripts.benchmarking.markdown import milliseconds, table

_OURS, _GRAPH, _FROZEN = "simlstm", "simlstm CUDA graph", "simlstm frozen"
_MODES = ("inference", "forward+backward")


def layer_parts(report: CudaLayerReport) -> list[str]:
    """Write torch's steps, the table of each mode and stack, and what has no figure."""
    parts = []
    if report.step_rows:
        parts += ["Torch's layer alone, packed, one layer, µs a step:", _step_table(report.step_rows)]
    takes = [f"{name} {'by cuDNN' if taken else 'without cuDNN'}" for name, taken in report.cudnn_takes.items()]
    parts.append(f"torch.nn.LSTM runs {', '.join(takes)}.")
    for layers, mean in dict.fromkeys((row.num_layers, row.mean_length) for row in report.rows):
        for mode in _MODES:
            rows = [row for row in report.rows if (row.num_layers, row.mean_length, row.mode) == (layers, mean, mode)]
            if rows:
                about = (
                    f"{mode.capitalize()}, {layers} layer{'s' * (layers > 1)}, mean length {mean:g}, {report.dtype}:"
                )
                parts += [about, _layer_table(rows)]
    if any(row.by_cudnn for row in report.rows):
        parts.append("cuDNN behind our milliseconds: there ours handed its layers to cuDNN, as the faster one.")
    if report.rows:
        parts.append(_ceilings(report.rows))
    return [*parts, *_ending(report)]


def encode_parts(report: CudaEncodeReport) -> list[str]:
    """Write sentences a second of each candidate at each shape, and what has no figure."""
    names = list(dict.fromkeys(name for row in report.rows for name in row.figures))
    header = ["H", "B", *(f"{name}, sentences/s" for name in names)]
    about = f"From token ids on the device, {report.precision}; ratios over {_FROZEN}:"
    filled = [about, table(header, (_encode_cells(row, names) for row in report.rows))] if report.rows else []
    return [*filled, *_ending(report)]


def train_parts(report: CudaTrainReport) -> list[str]:
    """Write the steps of both layers."""
    parts = list(next(iter(report.figures.values())).parts)
    header = ["layer", "sentences a second", "ms a step", *(f"{part} ms" for part in parts)]
    rows = [
        [
            name,
            f"{figure.sentences_per_second:,.0f}",
            milliseconds(figure.timing),
            *(f"{1e3 * figure.parts[part]:.3g}" for part in parts),
        ]
        for name, figure in report.figures.items()
    ]
    about = (
        f"{report.config}, {report.precision}, {report.steps} steps in blocks of {report.block}, "
        f"{report.sentences:,} sentences:"
    )
    return [about, table(header, rows), f"Median block **{report.ratio:.2f}**.", *_ending(report)]


def _step_table(rows: Iterable[StepRow]) -> str:
    rows = list(rows)
    names = list(rows[0].us_per_step)
    cells = (
        [str(row.hidden_size), str(row.batch), row.mode, str(row.steps), *_each(row.us_per_step, names)] for row in rows
    )
    return table(["H", "B", "mode", "steps", *(f"{name} µs" for name in names)], cells)


def _each(values: dict[str, float], names: Sequence[str]) -> list[str]:
    return [f"{values[name]:.1f}" if name in values else "" for name in names]


def _layer_table(rows: Sequence[CudaLayerRow]) -> str:
    header = ["H", "B", "T", "ms", "host ms", "µs/step", "TFLOP/s", "GB/s", "roofline ms", "of it", "MiB"]
    header += ["over packed", "over padded", "over the best", "fastest peer", "graph ms"]
    return table(header, map(_layer_cells, rows))


def _layer_cells(row: CudaLayerRow) -> list[str]:
    ours, graph = row.figures[_OURS], row.figures.get(_GRAPH)
    return [
        str(row.hidden_size),
        str(row.batch),
        str(row.steps),
        milliseconds(ours.timing.device) + _handed(row),
        f"{1e3 * ours.timing.host_s:.3g}",
        f"{ours.us_per_step:.2f}",
        f"{ours.tflops:.1f}",
        f"{ours.gbytes:.0f}",
        f"{1e3 * row.roofline_s:.3g}",
        f"{ours.roofline_share:.0%}",
        "" if ours.peak_mib is None else f"{ours.peak_mib:.1f}",
        *(_over(row, kind) for kind in ("packed", "padded")),
        f"**{row.over['best']:.2f}**",
        f"{row.fastest['best'].removeprefix('torch ')}",
        "" if graph is None else f"{1e3 * graph.timing.device.median_s:.3g}",
    ]


def _handed(row: CudaLayerRow) -> str:
    """Mark a row in which ours is cuDNN, in all layers or in some."""
    if row.by_cudnn == 0:
        return ""
    return " cuDNN" if row.by_cudnn == row.num_layers else f" cuDNN in {row.by_cudnn} of {row.num_layers} layers"


def _over(row: CudaLayerRow, kind: str) -> str:
    """Write the fastest peer of a kind: milliseconds, µs a step, and its seconds over ours."""
    if kind not in row.over:
        return ""
    peer = row.figures[row.fastest[kind]]
    return f"{1e3 * peer.timing.device.median_s:.3g} · {peer.us_per_step:.1f} µs · **{row.over[kind]:.2f}×**"


def _ceilings(rows: Sequence[CudaLayerRow]) -> str:
    rates = []
    for name in rows[0].ceilings.tflops:
        found = [row.ceilings.tflops[name] for row in rows]
        rates.append(f"{'TF32' if name == 'float32' else name} {min(found):.0f}–{max(found):.0f} TFLOP/s")
    copies = [row.ceilings.gbytes for row in rows]
    copied = f"{min(copies):.0f}–{max(copies):.0f} GB/s"
    return f"Large matrix product during the run: {', '.join(rates)}; large copy: {copied}."


def _encode_cells(row: CudaEncodeRow, names: Sequence[str]) -> list[str]:
    cells = [str(row.hidden_size), str(row.batch)]
    for name in names:
        figure = row.figures.get(name)
        ratio = "" if figure is None or name == _FROZEN else f" · {figure.ratio:.2f}×"
        cells.append("" if figure is None else f"{figure.sentences_per_second:,.0f}{ratio}")
    return cells


def _ending(report: CudaReport) -> list[str]:
    parts = []
    if report.refused:
        parts.append("No figure, because it failed:\n\n" + "\n".join(f"- {line}" for line in report.refused))
    if report.left_out:
        parts.append(f"Not begun, because the time was over: {'; '.join(report.left_out)}.")
    return [*parts, _gpu(report.machine.gpu)]


def _gpu(gpu: Gpu) -> str:
    return (
        f"{gpu.name}, compute capability {gpu.compute_capability}, {gpu.multiprocessors} multiprocessors, "
        f"{gpu.memory_gib:.0f} GiB, {gpu.cache_mib:.0f} MiB of cache; driver {gpu.driver or 'not known'}, "
        f"CUDA {gpu.cuda or 'absent'}, cuDNN {gpu.cudnn or 'absent'}, triton {gpu.triton or 'absent'}."
    )
