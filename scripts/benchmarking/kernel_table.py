"""Reports of compiled kernels as Markdown."""

from scripts.benchmarking.kernel_records import KernelReport, KernelRow
from scripts.benchmarking.markdown import table

_HEADER = ["", "H", "kernel", "sequences", "units", "k", "warps", "first for B"]
_HEADER += ["registers", "stack B", "spills", "HGMMA", "HMMA", "shared KiB", "code KiB"]


def kernel_parts(report: KernelReport) -> list[str]:
    """Write the plans that are taken unmeasured, a table for each arithmetic, and what did not compile."""
    parts = [
        f"Compiled for compute capability {report.capability / 10:.1f} and {report.multiprocessors} multiprocessors "
        f"by Triton {report.triton}, two directions; nothing of this was run. Below, the plans that are taken "
        f"unmeasured; the results file has all {len(report.rows)} that a measurement may choose from."
    ]
    for name in dict.fromkeys(row.arithmetic for row in report.rows):
        rows = [row for row in report.rows if row.arithmetic == name and row.batches]
        parts += [f"{name}:", table(_HEADER, map(_cells, rows))]
    if report.failed:
        parts.append("Not compiled:\n\n" + "\n".join(f"- {line}" for line in report.failed))
    return parts


def _cells(row: KernelRow) -> list[str]:
    return [
        row.role,
        str(row.hidden_size),
        row.kernel,
        str(row.block_sequences),
        str(row.block_units),
        str(row.block_k) if row.block_k else "all",
        str(row.warps),
        ", ".join(map(str, row.batches)),
        str(row.registers),
        str(row.stack_bytes),
        str(row.spills),
        str(row.hgmma),
        str(row.hmma),
        f"{row.shared_bytes / 1024:.0f}",
        f"{row.code_bytes / 1024:.0f}",
    ]
