"""The report of compiled kernels: what is compiled, and how it is written."""

from importlib.util import find_spec

import pytest

from scripts.benchmarking import kernels
from scripts.benchmarking.kernel_records import KernelReport, KernelRow
from scripts.benchmarking.machine import describe_machine
from scripts.benchmarking.results import read_report, write_report
from scripts.benchmarking.tables import report_text

ROW = {
    "role": "training",
    "arithmetic": "bfloat16",
    "hidden_size": 256,
    "kernel": "split",
    "block_sequences": 16,
    "block_units": 64,
    "block_k": 0,
    "warps": 8,
    "batches": [64],
    "registers": 128,
    "stack_bytes": 0,
    "spills": 0,
    "hgmma": 0,
    "hmma": 64,
    "shared_bytes": 139264,
    "code_bytes": 12288,
}


def report():
    rows = [KernelRow(**ROW), KernelRow(**ROW | {"batches": [], "registers": 77})]
    return KernelReport(
        machine=describe_machine(), capability=90, multiprocessors=132, triton="3.6.0", rows=rows, failed=["H=1: no"]
    )


def test_is_written_and_read_again(tmp_path):
    write_report(report(), tmp_path / "kernels-sm90.json")
    assert read_report(tmp_path / "kernels-sm90.json") == report()


def test_the_table_shows_what_is_taken_unmeasured():
    text = report_text(report())
    assert "| training | 256 | split | 16 | 64 | all | 8 | 64 | 128 | 0 | 0 | 0 | 64 | 136 | 12 |" in text
    assert "| 77 |" not in text
    assert "all 2 that a measurement may choose from" in text
    assert "compute capability 9.0" in text
    assert "- H=1: no" in text


def test_without_triton_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(kernels, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="the package 'triton' is missing; pip install triton"):
        kernels.measure()


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed: there is none for this system")
def test_every_plan_is_compiled_once_and_the_first_ones_are_marked():
    jobs = list(kernels._jobs([128, 256], [64, 4096]))
    assert len({(*job[:3], job.plan) for job in jobs}) == len(jobs)
    for role in ("inference", "training", "backward", "frozen"):
        for hidden_size in (128, 256):
            mine = [job for job in jobs if job[:3] == (role, "bfloat16", hidden_size)]
            assert sorted(batch for job in mine for batch in job.batches) == [64, 4096]
