"""Benchmarks whose process breaks, never ends or was ended, and those that go on behind it."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from scripts.benchmarking.cuda.accelerator import HostAccelerator
from scripts.benchmarking.cuda.attempts import Attempts
from scripts.benchmarking.results import read_report, write_report
from tests.scripts.cuda_command import LAYER, ROOT, run


def test_a_device_that_does_not_work_any_more_ends_the_process_behind_its_shape(capfd: pytest.CaptureFixture[str]):
    class Broken(HostAccelerator):
        def wait(self) -> None:
            raise RuntimeError("an illegal memory access was encountered")

    def leave() -> None:
        raise SystemExit

    saved: list[str] = []
    attempts = Attempts(Broken(), seconds=60, save=lambda: saved.extend(attempts.refused), leave=leave)
    shape = "L=1 mean 3 H=8 B=3"
    with pytest.raises(SystemExit):
        attempts.in_time(shape, lambda: attempts.make(f"{shape}, inference, simlstm", lambda: 1 // 0))
    broke = f"{shape}: broke the device for its process: an illegal memory access was encountered"
    assert saved == [f"{shape}, inference, simlstm: ZeroDivisionError: integer division or modulo by zero", broke]
    assert capfd.readouterr().err == f"benchmark: {broke}; --resume goes on behind it\n"
    assert attempts.was_refused(shape), "not tried again"
    assert attempts.ended_a_process("H=8 B=3")
    assert not attempts.ended_a_process("H=8 B=32")


def test_a_broken_device_ends_the_command_with_the_status_that_the_script_goes_on_at(tmp_path: Path):
    """From the first shape of a size to the last of another: the second process measures what the first one left."""
    code = """
import sys
from scripts.benchmark import main
from scripts.benchmarking.cuda import command, layer_shape
from scripts.benchmarking.cuda.accelerator import HostAccelerator
import typer

class Breaking(HostAccelerator):
    broken = False
    def wait(self):
        if self.broken:
            raise RuntimeError("an illegal memory access was encountered")

accelerator = Breaking(cache_bytes=20_000)
command.CudaAccelerator = lambda: accelerator
check = layer_shape.check_norms

def break_at_4(name, shown, right, **options):
    if name == "simlstm" and right["0.x" if "0.x" in right else "0.hT"].shape[-2] == 4 and "0.hT" in right:
        accelerator.broken = True
        accelerator.wait()
    return check(name, shown, right, **options)

layer_shape.check_norms = break_at_4
app = typer.Typer()
app.command()(main)
app(sys.argv[1:])
"""
    out = tmp_path / "rnn-cuda.json"
    flags = [*LAYER, "--layers", "2", "--batch", "4", "--json", str(out)]
    said = subprocess.run([sys.executable, "-c", code, *flags], capture_output=True, text=True, cwd=ROOT, timeout=100)
    assert said.returncode == 3, said.stderr
    assert "L=1 mean 3 H=8 B=4: broke the device for its process: an illegal memory access" in said.stderr
    first = read_report(out)
    assert [(row.num_layers, row.batch) for row in first.rows] == [(1, 3)] * 2
    said = subprocess.run(
        [sys.executable, "-c", code, *flags, "--resume"], capture_output=True, text=True, cwd=ROOT, timeout=100
    )
    assert said.returncode == 1, said.stderr
    report = read_report(out)
    assert [(row.num_layers, row.batch) for row in report.rows] == [(1, 3)] * 2 + [(2, 3)] * 2
    assert report.left_out == ["L=2 mean 3 H=8 B=4 (another shape of this size did not end, or broke the device)"]


def test_what_never_ends_ends_the_process_and_is_left_behind():
    said: list[str] = []
    ended = threading.Event()
    attempts = Attempts(
        HostAccelerator(), seconds=60, save=lambda: said.extend(attempts.refused), stall_seconds=0.01, leave=ended.set
    )
    assert attempts.in_time("L=1 mean 3 H=8 B=3", lambda: ended.wait(60)), "the main thread would wait on"
    assert said == ["L=1 mean 3 H=8 B=3: did not end within 0.01 s"]
    assert attempts.was_refused("L=1 mean 3 H=8 B=3")
    assert not attempts.was_refused("L=1 mean 3 H=8 B=32")
    assert attempts.ended_a_process("H=8 B=3")
    assert not attempts.ended_a_process("H=8 B=32")
    assert attempts.in_time("quick", lambda: 7) == 7
    time.sleep(0.1)
    assert len(attempts.refused) == 1, "the watchdog of what ended sleeps"


def test_leaving_takes_the_main_thread_along():
    code = """
import threading, time
from scripts.benchmarking.cuda.accelerator import HostAccelerator
from scripts.benchmarking.cuda.attempts import Attempts
Attempts(HostAccelerator(), seconds=60, save=lambda: print("saved", flush=True), stall_seconds=0.1).in_time(
    "a shape", lambda: time.sleep(60)
)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=50)
    assert (said.returncode, said.stdout) == (3, "saved\n")


def test_a_run_that_ended_before_its_time_goes_on(host: HostAccelerator, tmp_path: Path):
    out = tmp_path / "rnn-cuda.json"
    flags = [*LAYER, "--layers", "2", "--batch", "4", "--json", str(out), "--resume"]
    assert run(*flags).exit_code == 0, "there is no file yet"
    whole = read_report(out)
    kept = [row for row in whole.rows if row.num_layers == 1 and row.batch == 3]
    refused = ["L=1 mean 3 H=8 B=4: did not end within 60 s"]
    write_report(whole.model_copy(update={"rows": kept, "refused": refused, "step_rows": whole.step_rows[:2]}), out)
    assert run(*flags).exit_code == 1
    report = read_report(out)
    assert report.rows[:2] == kept, "not measured again"
    assert [(row.num_layers, row.batch) for row in report.rows[2:]] == [(2, 3)] * 2
    assert [(row.batch, row.mode) for row in report.step_rows] == [(row.batch, row.mode) for row in whole.step_rows]
    assert report.step_rows[:2] == whole.step_rows[:2]
    assert report.refused == refused
    assert report.left_out == ["L=2 mean 3 H=8 B=4 (another shape of this size did not end, or broke the device)"]
    assert (
        "--resume: the earlier report is of bfloat16, float16 was asked for" in run(*flags, "--dtype", "float16").output
    )
