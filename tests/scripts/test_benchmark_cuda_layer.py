"""The layer's benchmark with --device cuda, walked on the CPU: its rows, and what is wrong, breaks or has no time."""

from pathlib import Path

import pytest
import torch

from scripts.benchmarking.cuda import layer_shape
from scripts.benchmarking.cuda.accelerator import HostAccelerator
from scripts.benchmarking.cuda.candidates import our_layer
from scripts.benchmarking.cuda.records import CudaLayerReport
from scripts.benchmarking.results import read_report
from scripts.benchmarking.tables import report_text
from tests.scripts.cuda_command import LAYER, run


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
