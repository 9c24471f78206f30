"""Reports as Markdown: what is printed after a run is what stands in benchmarks/README.md."""

from collections.abc import Iterable, Sequence

from scripts.benchmarking.cuda.records import CudaEncodeReport, CudaLayerReport, CudaTrainReport
from scripts.benchmarking.cuda.tables import encode_parts, layer_parts, train_parts
from scripts.benchmarking.kernel_records import KernelReport
from scripts.benchmarking.kernel_table import kernel_parts
from scripts.benchmarking.markdown import milliseconds, table
from scripts.benchmarking.records import Machine
from scripts.benchmarking.results import (
    EncodeReport,
    EncodeRow,
    Figure,
    LayerReport,
    LayerRow,
    LinearRow,
    Report,
    TextReport,
    TrainReport,
)
from scripts.benchmarking.serving.records import ServeReport, SoakReport
from scripts.benchmarking.serving.tables import serve_parts, soak_parts

# Processes that want a core when the run begins. A single one more than there are cores stops a thread that the other
# threads of a layer then wait for, at every step.
_BUSY = 0.5


def report_text(report: Report) -> str:
    """Write a whole report."""
    match report:
        case LayerReport():
            return _join([*_layer(report), _machine(report.machine)])
        case EncodeReport():
            return _join([*_encode(report), _machine(report.machine)])
        case TrainReport():
            return _join([*_train(report), _machine(report.machine)])
        case CudaLayerReport():
            return _join([*layer_parts(report), _machine(report.machine)])
        case CudaEncodeReport():
            return _join([*encode_parts(report), _machine(report.machine)])
        case CudaTrainReport():
            return _join([*train_parts(report), _machine(report.machine)])
        case KernelReport():
            return _join([*kernel_parts(report), _made(report.machine)])
        case ServeReport():
            return _join([*serve_parts(report), _machine(report.machine)])
        case SoakReport():
            return _join([*soak_parts(report), _machine(report.machine)])


def _join(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part)


def _layer(report: LayerReport) -> list[str]:
    parts = []
    for mode in ("inference", "forward+backward"):
        rows = [row for row in report.rows if row.mode == mode]
        if rows:
            peers = [name for name in rows[0].figures if name != "simlstm"]
            header = ["H", "B", "simlstm ms", *(f"{name} ms" for name in peers), "over the best", "GFLOP/s", "of peak"]
            if rows[0].prepacked_ratio is not None:
                header.append("prepacked over the best")
            parts += [f"{mode.capitalize()}:", table(header, (_layer_cells(row, peers) for row in rows))]
    parts += [f"{name} did not take part: {reason}" for name, reason in report.skipped.items()]
    return [*parts, _peaks(report.rows)]


def _layer_cells(row: LayerRow, peers: Sequence[str]) -> list[str]:
    ours = row.figures["simlstm"]
    return [
        str(row.hidden_size),
        str(row.batch),
        milliseconds(ours.timing),
        *(_compared(row.figures[name]) for name in peers),
        f"**{row.ratio:.2f}**",
        f"{ours.gflops:.0f}",
        f"{ours.share_of_peak:.0%}",
        *([] if row.prepacked_ratio is None else [f"**{row.prepacked_ratio:.2f}**"]),
    ]


def _compared(peer: Figure) -> str:
    return f"{1e3 * peer.timing.median_s:.3g} · {peer.ratio:.2f}×"


def _peaks(rows: Sequence[LayerRow] | Sequence[EncodeRow]) -> str:
    """Say between which values the peak of each dtype and library lay during the run."""
    ranges = []
    for name in rows[0].peaks:
        rates = [row.peaks[name] for row in rows]
        ranges.append(f"{name} {min(rates):.0f}–{max(rates):.0f}")
    return f"Large matrix product during the run, GFLOP/s: {'; '.join(ranges)}."


def _encode(report: EncodeReport) -> list[str]:
    return [
        *(_shapes(report) if report.rows else []),
        *(_linearity(report) if report.linearity else []),
        *(_texts(report.texts) if report.texts else []),
    ]


def _shapes(report: EncodeReport) -> list[str]:
    candidates = [name for name in report.rows[0].figures if name != "torch"]
    header = ["H", "B", "torch ms", *(f"{name} ms" for name in candidates), *(f"{name} GFLOP/s" for name in candidates)]
    return [
        f"From token ids, frozen encoder on the {report.backend} backend; GFLOP/s of the recurrent products alone:",
        table(header, (_encode_cells(row, candidates) for row in report.rows)),
        _peaks(report.rows),
    ]


def _encode_cells(row: EncodeRow, candidates: Sequence[str]) -> list[str]:
    figures = [row.figures[name] for name in candidates]
    return [
        str(row.hidden_size),
        str(row.batch),
        milliseconds(row.figures["torch"].timing),
        *(f"{1e3 * figure.timing.median_s:.3g} · **{figure.ratio:.2f}×**" for figure in figures),
        *(f"{figure.gflops:.0f} · {figure.share_of_peak:.0%}" for figure in figures),
    ]


def _linearity(report: EncodeReport) -> list[str]:
    header = ["precision", "sentences", "seconds", "µs a sentence", "resident MiB before", "peak", "beyond the vectors"]
    about = f"As the sentences grow in number, from lists of token ids, H={report.linearity_hidden_size}:"
    return [about, table(header, map(_linear_cells, report.linearity))]


def _linear_cells(row: LinearRow) -> list[str]:
    memory = ["not known"] * 3
    if row.working_mib is not None:
        memory = [f"{row.resident_before_mib:.0f}", f"{row.resident_peak_mib:.0f}", f"{row.working_mib:.0f}"]
    seconds = row.timing.median_s
    return [row.precision, f"{row.sentences:,}", f"{seconds:.3g}", f"{1e6 * seconds / row.sentences:.1f}", *memory]


def _texts(report: TextReport) -> list[str]:
    rows = [
        [f"simlstm, {row.precision}", f"{report.sentences:,}", f"{row.sentences_per_second:,.0f}", _over(row.ratio)]
        for row in report.rows
    ]
    note = report.skipped or ""
    if report.minilm is not None:
        peer = report.minilm
        rows.append(["MiniLM, float32", f"{peer.sentences:,}", f"{peer.sentences_per_second:,.0f}", ""])
        note = (
            f"MiniLM encodes {peer.sentences:,} of the sentences, whole batches of {peer.batch_size} evenly spread "
            f"over the lengths; its rate stands for all {report.sentences:,}."
        )
    about = f"From text ({report.source}; {report.mean_tokens:.1f} tokens on average) with {report.model}:"
    return [about, table(["encoder", "sentences", "sentences a second", "over MiniLM"], rows), note]


def _over(ratio: float | None) -> str:
    return "" if ratio is None else f"**{ratio:.1f}**"


def _train(report: TrainReport) -> list[str]:
    parts = list(next(iter(report.figures.values())).parts)
    header = ["layer", "seconds", "sentences a second", "ms a step", *(f"{part} ms" for part in parts)]
    rows = [
        [
            name,
            f"{figure.seconds:.1f}",
            f"{figure.sentences_per_second:,.0f}",
            milliseconds(figure.timing),
            *(f"{1e3 * figure.parts[part]:.3g}" for part in parts),
        ]
        for name, figure in report.figures.items()
    ]
    about = f"{report.config}, {report.precision}, {report.steps} steps, {report.sentences:,} sentences:"
    ratios = f"All steps together **{report.total_ratio:.2f}**, median step {report.step_ratio:.2f}."
    return [about, table(header, rows), ratios]


def _made(machine: Machine) -> str:
    """Say by what it was made, where the machine does not matter."""
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    return f"Made with {packages}; Python {machine.python}; commit {machine.commit or 'not known'}."


def _machine(machine: Machine) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    libraries = ", ".join(f"{name} {version}" for name, version in machine.libraries.items())
    load = "not known" if machine.load_average is None else f"{machine.load_average:.2f}"
    sets = ", ".join(machine.instruction_sets) or "no known instruction set"
    busy = machine.load_average is not None and machine.load_average > _BUSY
    warning = (
        "**The machine was busy in the minute before** (a benchmark that ran before counts, too): if something else "
        "ran beside this one, its figures say little. "
        if busy
        else ""
    )
    return (
        f"{warning}Made on {machine.processor} with {sets}; "
        f"{machine.threads} threads; native backend: {machine.native_backend or 'absent'}; load average at the start "
        f"{load}; {packages}; torch with {libraries}; Python {machine.python}; commit {machine.commit or 'not known'}."
    )
