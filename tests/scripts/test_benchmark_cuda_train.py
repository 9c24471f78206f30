"""Training's benchmark with --device cuda, walked on the CPU, and the experiment that a GPU trains."""

from pathlib import Path

import pytest
import torch

from scripts.benchmarking.cuda import train
from scripts.benchmarking.cuda.accelerator import HostAccelerator
from scripts.benchmarking.cuda.records import CudaTrainReport
from scripts.benchmarking.results import read_report
from scripts.benchmarking.tables import report_text
from simlstm.training.build import build_corpus, build_start
from simlstm.training.config_file import load_config
from simlstm.training.run_data import read_run_data
from tests.scripts.cuda_command import ROOT, run

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
