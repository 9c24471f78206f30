"""The commands with --device cuda: refused without a GPU, and walked from end to end on the CPU in its place."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from scripts.benchmark import main
from scripts.benchmarking import encode_shapes
from scripts.benchmarking.cuda import command, layer_shape, train
from scripts.benchmarking.cuda.accelerator import CudaAccelerator, HostAccelerator
from scripts.benchmarking.cuda.attempts import Attempts
from scripts.benchmarking.cuda.candidates import our_layer
from scripts.benchmarking.cuda.records import CudaEncodeReport, CudaLayerReport, CudaTrainReport
from scripts.benchmarking.results import read_report, write_report
from scripts.benchmarking.tables import report_text
from simlstm.training.build import build_corpus, build_start
from simlstm.training.config_file import load_config
from simlstm.training.run_data import read_run_data

ROOT = Path(__file__).parents[2]
WITHOUT_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
LAYER = ["rnn", "--device", "cuda", "--hidden", "8", "--batch", "3", "--mean-length", "3", "--turns", "2"]
LAYER += ["--peak-size", "32", "--layers", "1"]


def run(*arguments: str):
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> HostAccelerator:
    """Put the CPU in the place of the GPU."""
    accelerator = HostAccelerator(cache_bytes=20_000)
    monkeypatch.setattr(command, "CudaAccelerator", lambda: accelerator)
    return accelerator


@WITHOUT_GPU
@pytest.mark.parametrize("subject", ["rnn", "encode", "train"])
def test_without_a_gpu_a_sentence_says_so(subject: str, tmp_path: Path):
    result = run(subject, "--device", "cuda", "--json", str(tmp_path / "none.json"))
    assert result.exit_code == 1
    assert "torch sees no CUDA device on this machine; --device cpu is allowed" in result.output
    assert not (tmp_path / "none.json").exists()


@WITHOUT_GPU
def test_the_script_tries_every_part_and_fails_without_a_gpu(tmp_path: Path):
    pytest.importorskip("triton")
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    said = subprocess.run(
        [ROOT / "benchmarks" / "cuda.sh", tmp_path], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert said.returncode == 1
    assert said.stderr.count("torch sees no CUDA device") == 4
    assert "rnn-cuda (1) encode-cuda (1) train-float32-cuda (1) train-bfloat16-cuda (1)" in said.stderr


def test_the_script_names_what_is_missing_before_anything_is_measured(tmp_path: Path):
    """Two of its packages are hidden from it; what else would be missing is what this test's own Python lacks."""
    pytest.importorskip("triton")
    for name in ("pydantic", "scipy"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('no {name} here')\n")
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(tmp_path)}
    said = subprocess.run([ROOT / "benchmarks" / "cuda.sh", tmp_path], capture_output=True, text=True, env=environment)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == (
        f"benchmarks/cuda.sh: nothing is measured, because {sys.executable} cannot import "
        "pydantic (no pydantic here), scipy (no scipy here)\n"
    )
    header = (ROOT / "benchmarks" / "cuda.sh").read_text().partition("set -u")[0].replace(" and ", " ")
    asked = (ROOT / "benchmarks" / "cuda.sh").read_text().partition("\n' ")[2].partition(" ||")[0]
    assert "pydantic" in asked
    assert " ".join(header.split()).find(asked.replace(" ", ", ").replace("safetensors, ", "safetensors ")) > 0


def test_the_script_goes_on_behind_what_never_ends(tmp_path: Path):
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\ntest "$1" = -c && exit 0\n'
        'echo "$@" >> "$0.log"\ncase "$*" in *--resume|*train*) exit 0;; *) exit 3;; esac\n'
    )
    python.chmod(0o755)
    said = subprocess.run(
        [ROOT / "benchmarks" / "cuda.sh", tmp_path], env={**os.environ, "PYTHON": str(python)}, capture_output=True
    )
    assert said.returncode == 0, said.stderr
    log = [line.split() for line in (tmp_path / "python.log").read_text().splitlines()]
    assert [(line[1], line[-1] == "--resume") for line in log] == [
        ("rnn", False), ("rnn", True), ("encode", False), ("encode", True), ("train", False), ("train", False),
    ]  # fmt: skip
    for line in log:
        assert line[line.index("--device") + 1] == "cuda"
        assert 0 < int(line[line.index("--seconds") + 1]) < 260
        assert line[line.index("--json") + 1].startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["rnn", "--layers", "2"], "--layers: got [2], which is for --device cuda"),
        (["encode", "--seconds", "1"], "--seconds: got 1.0"),
        (["rnn", "--resume"], "--resume: got True"),
        (["rnn", "--dtype", "float16"], "--dtype: got float16"),
        (["rnn", "--mean-length", "3", "--mean-length", "4"], "--mean-length: got 2 of them"),
    ],
)
def test_what_only_a_gpus_benchmark_has_is_refused_on_the_cpu(flags: list[str], said: str):
    result = run(*flags)
    assert result.exit_code == 1
    assert said in result.output


def test_other_mistakes_are_told(host: HostAccelerator):
    assert "--mean-length: got 2" in run("encode", "--device", "cuda", *["--mean-length", "3"] * 2).output
    assert "--dtype: got float16" in run("train", "--device", "cuda", "--dtype", "float16").output
    with pytest.raises(ValueError, match="subject: got dance"):
        command.measure(
            "dance", hidden_sizes=None, batches=None, layers=None, mean_lengths=None, dtype="bfloat16", turns=2,
            steps=None, config=Path("x"), seconds=None, peak_size=None, json_out=None,
        )  # fmt: skip


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_the_layer_is_walked(dtype: str, host: HostAccelerator, tmp_path: Path):
    out = tmp_path / "rnn-cuda.json"
    result = run(*LAYER, "--layers", "2", "--mean-length", "5", "--dtype", dtype, "--json", str(out))
    assert result.exit_code == 0, result.output
    report = read_report(out)
    assert isinstance(report, CudaLayerReport)
    assert report_text(report) in result.output
    assert (report.refused, report.left_out, report.dtype) == ([], [], dtype)
    peers = {"float32"} if dtype == "float32" else {"bfloat16", "float16"}
    assert set(report.cudnn_takes) == peers
    assert [(row.mode, set(row.us_per_step)) for row in report.step_rows] == [
        ("inference", peers), ("forward+backward", peers),
    ]  # fmt: skip
    assert [(row.num_layers, row.mean_length, row.mode) for row in report.rows] == [
        (layers, mean, mode) for layers in (1, 2) for mean in (3, 5) for mode in ("inference", "forward+backward")
    ]
    stock = {f"torch {kind} {peer}" for kind in ("packed", "padded") for peer in peers}
    for row in report.rows:
        graph = {"simlstm CUDA graph"} if row.mode == "inference" else set()
        assert set(row.figures) == {"simlstm", *stock, *graph}
        assert set(row.ceilings.tflops) == peers
        assert row.input_sets > 1, "the inputs are to exceed the cache"
        for name, kind in (("packed", "packed"), ("padded", "padded"), ("best", "p")):
            chosen = [peer for peer in stock if peer.startswith(f"torch {kind}")]
            medians = {peer: row.figures[peer].timing.device.median_s for peer in chosen}
            assert row.fastest[name] == min(chosen, key=medians.__getitem__)
            assert row.over[name] == row.figures[row.fastest[name]].ratio
        assert row.by_cudnn == 0, "the CPU has none"
        ours = row.figures["simlstm"]
        assert ours.ratio == 1.0
        assert ours.us_per_step == pytest.approx(1e6 * ours.timing.device.median_s / row.steps)
        assert ours.tflops == pytest.approx(1e-12 * row.operations / ours.timing.device.median_s)
        assert ours.gbytes == pytest.approx(1e-9 * row.least_bytes / ours.timing.device.median_s)
        assert ours.roofline_share == pytest.approx(row.roofline_s / ours.timing.device.median_s)


def test_memory_is_asked_of_all_but_the_graph(host: HostAccelerator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(host, "peak_bytes", lambda call: 2**20)
    out = tmp_path / "rnn-cuda.json"
    assert run(*LAYER, "--json", str(out)).exit_code == 0
    for row in read_report(out).rows:
        for name, figure in row.figures.items():
            assert figure.peak_mib == (None if name == "simlstm CUDA graph" else 1.0)


def test_a_wrong_layer_of_ours_gets_no_figure_and_torchs_steps_stay(
    host: HostAccelerator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def wrong(*arguments):
        layer = our_layer(*arguments)
        with torch.no_grad():
            layer.weight_hh_l0_reverse.zero_()
        return layer

    monkeypatch.setattr(layer_shape, "our_layer", wrong)
    out = tmp_path / "rnn-cuda.json"
    result = run(*LAYER, "--json", str(out))
    assert result.exit_code == 1
    report = read_report(out)
    assert report.rows == []
    assert len(report.step_rows) == 2
    assert [line.split(":")[0] for line in report.refused] == [
        "L=1 mean 3 H=8 B=3, inference, simlstm",
        "L=1 mean 3 H=8 B=3, inference, simlstm CUDA graph",
        "L=1 mean 3 H=8 B=3, forward+backward, simlstm",
    ]
    assert "ParityError: parity failed: simlstm, 0.rows: relative norm" in report.refused[0]


def test_a_peer_that_fails_is_named_and_the_others_are_measured(
    host: HostAccelerator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    broken = layer_shape.check_norms

    def check(name, *rest, **options):
        if name == "torch padded bfloat16":
            raise KeyError("a kernel is missing")
        return broken(name, *rest, **options)

    monkeypatch.setattr(layer_shape, "check_norms", check)
    out = tmp_path / "rnn-cuda.json"
    assert run(*LAYER, "--json", str(out)).exit_code == 1
    report = read_report(out)
    assert [row.fastest["padded"] for row in report.rows] == ["torch padded float16"] * 2
    assert len(report.refused) == 2
    assert "KeyError: 'a kernel is missing'" in report_text(report)


def test_what_there_is_no_time_for_is_named(host: HostAccelerator, tmp_path: Path):
    out = tmp_path / "rnn-cuda.json"
    assert run(*LAYER, "--seconds", "0", "--json", str(out)).exit_code == 0
    report = read_report(out)
    assert report.left_out == ["torch's steps, L=1 mean 3 H=8 B=3", "L=1 mean 3 H=8 B=3"]
    assert "Not begun, because the time was over: torch's steps" in report_text(report)


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


def test_the_encoder_is_walked(host: HostAccelerator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from scripts.benchmarking.cuda import encode

    plan = encode.EncodePlan
    monkeypatch.setattr(encode, "EncodePlan", lambda **given: plan(**given, vocabulary_size=40))
    out = tmp_path / "encode-cuda.json"
    sizes = ["--hidden", "8", "--batch", "3", "--batch", "5", "--mean-length", "3", "--turns", "2"]
    result = run("encode", "--device", "cuda", *sizes, "--json", str(out))
    assert result.exit_code == 0, result.output
    report = read_report(out)
    assert isinstance(report, CudaEncodeReport)
    assert report.refused == []
    assert [row.batch for row in report.rows] == [3, 5]
    assert run("encode", "--device", "cuda", *sizes, "--json", str(out), "--resume").exit_code == 0
    assert read_report(out) == report.model_copy(update={"machine": read_report(out).machine}), "not measured again"
    for row in report.rows:
        assert set(row.figures) == {
            "simlstm frozen", "simlstm frozen, from and to the host", "torch bfloat16", "torch float16",
            "MiniLM shape, padded", "MiniLM shape, nested",
        }  # fmt: skip
        for figure in row.figures.values():
            assert figure.sentences_per_second == pytest.approx(row.batch / figure.timing.device.median_s)
            assert figure.parity > 0.99
    assert report_text(report) in result.output


def test_an_encoder_that_computes_something_else_gets_no_row(host: HostAccelerator, monkeypatch: pytest.MonkeyPatch):
    from scripts.benchmarking.cuda import encode

    frozen = encode.FrozenEncoder.from_encoder

    class Wrong:
        @staticmethod
        def from_encoder(encoder, **options):
            changed = encode_shapes.copy.deepcopy(encoder)
            with torch.no_grad():
                changed.recurrent.weight_hh_l0.zero_()
            return frozen(changed, **options)

    monkeypatch.setattr(encode, "FrozenEncoder", Wrong)
    report = encode.measure(
        host,
        encode.EncodePlan([32], [20], 12.0, 2, 60, turn_seconds=1e-4, vocabulary_size=40, input_size=6),
    )
    assert report.rows == []
    assert len(report.refused) == 2
    assert "parity failed: simlstm frozen: cosine" in report.refused[0]
    assert "No figure, because it failed" in report_text(report)


def test_the_largest_batches_come_first_and_each_row_is_saved(host: HostAccelerator):
    from scripts.benchmarking.cuda import encode

    saved: list[list[int]] = []
    plan = encode.EncodePlan([8], [2, 3], 3.0, 2, 60, turn_seconds=1e-4, vocabulary_size=40, input_size=6)
    encode.measure(host, plan, save=lambda report: saved.append([row.batch for row in report.rows]))
    assert saved == [[3], [2, 3], [2, 3]]


TINY = """
[data]
train = "demo:en:test"
dev = "demo:en:dev"
[model]
embedding_size = 6
hidden_size = 5
[training]
batch_size = 8
"""


@pytest.mark.parametrize(("dtype", "precision"), [("float32", "TF32"), ("bfloat16", "bfloat16 autocast")])
def test_training_is_walked(
    dtype: str, precision: str, host: HostAccelerator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    laps: list[int] = []

    class Counting(train.DeviceStopwatch):
        def medians(self) -> dict[str, float]:
            laps.append(len(self._laps))
            return super().medians()

    monkeypatch.setattr(train, "DeviceStopwatch", Counting)
    values = {"torch.nn.LSTM": 8.0, "simlstm": 2.0}
    monkeypatch.setattr(train, "median_ratio", lambda slower, faster: values[slower.name] / values[faster.name])
    config, out = tmp_path / "tiny.toml", tmp_path / "train-cuda.json"
    config.write_text(TINY)
    result = run(
        "train", "--device", "cuda", "--dtype", dtype, "--config", str(config), "--steps", "16", "--json", str(out)
    )
    assert result.exit_code == 0, result.output
    report = read_report(out)
    assert isinstance(report, CudaTrainReport)
    assert (report.steps, report.block, report.precision) == (16, 8, precision)
    assert report.sentences == 16 * 2 * 8
    ours, stock = report.figures["simlstm"], report.figures["torch.nn.LSTM"]
    assert list(ours.parts) == list(stock.parts) == ["collate", "forward", "backward", "update"]
    assert stock.timing.turns == 2
    assert report.ratio == 4.0, "stock over ours"
    assert laps == [16 * 4] * 2, "parts of measured steps, not of those that warm up"
    assert 0 < sum(ours.parts.values()) <= 1.5 * max(ours.timing.quartiles_s)
    assert report_text(report) in result.output


@pytest.mark.parametrize("measured", [1, 2, 5])
def test_training_ends_in_time_with_what_it_has(measured: int, host: HostAccelerator, tmp_path: Path):
    config = tmp_path / "tiny.toml"
    config.write_text(TINY)
    plan = train.TrainPlan(config, "bfloat16", blocks=5, block=2, seconds=10)
    readings = iter([0.0, *[1.0] * (measured + 1), 10.0])
    saved: list[CudaTrainReport] = []
    if measured < 2:
        with pytest.raises(RuntimeError, match="the time of 10 s was over after 1 of 5 measured blocks"):
            train.measure(host, plan, save=saved.append, clock=lambda: next(readings))
        assert saved == []
        return
    report = train.measure(host, plan, save=saved.append, clock=lambda: next(readings))
    assert (report.steps, report.sentences) == (2 * measured, 2 * measured * 2 * 8)
    assert {figure.timing.turns for figure in report.figures.values()} == {measured}
    assert report.left_out == ([] if measured == 5 else ["3 of 5 blocks"])
    assert [part.steps for part in saved] == list(range(4, 2 * measured + 1, 2)), "a kill leaves these"


def test_another_layer_in_training_gets_no_figure(
    host: HostAccelerator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def wrong(model):
        twin = with_stock_layer(model)
        with torch.no_grad():
            twin.encoder.recurrent.bias_ih_l0 += 0.5
        return twin

    with_stock_layer = train.with_stock_layer
    monkeypatch.setattr(train, "with_stock_layer", wrong)
    config = tmp_path / "tiny.toml"
    config.write_text(TINY)
    result = run("train", "--device", "cuda", "--config", str(config), "--steps", "16")
    assert result.exit_code == 1
    assert "parity failed: simlstm in training" in result.output


def test_an_epoch_that_is_too_short_is_told(host: HostAccelerator, tmp_path: Path):
    config = tmp_path / "tiny.toml"
    config.write_text(TINY)
    result = run("train", "--device", "cuda", "--config", str(config), "--steps", "80000")
    assert result.exit_code == 1
    assert "10000 blocks of 8 steps and one to warm up were asked for" in result.output


def test_the_experiment_that_a_gpu_trains_is_long_enough():
    config = load_config(ROOT / "benchmarks" / "train-cuda.toml")
    data = read_run_data(config)
    assert len(build_corpus(config, data, build_start(config, data)).epoch(0)) >= 96 + 8


def test_cuda_is_asked_for_when_it_is_made(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="no CUDA device"):
        CudaAccelerator()
