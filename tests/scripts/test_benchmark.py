"""The command: what it measures is written, printed, and refused where it must be."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from scripts.benchmark import main
from scripts.benchmarking import train as training
from scripts.benchmarking.results import EncodeReport, LayerReport, TrainReport, read_report
from scripts.benchmarking.tables import report_text
from scripts.benchmarking.train import Stopwatch, stepper
from simlstm.evaluation.evaluate import evaluate_model
from simlstm.models.similarity import SimilarityModel
from simlstm.training.build import build_corpus, build_start
from simlstm.training.config_file import load_config
from simlstm.training.run import train
from simlstm.training.run_data import read_run_data


def run(*arguments: str):
    import typer

    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, list(arguments))


def test_layer_figures_are_written_and_printed(tmp_path: Path):
    out = tmp_path / "figures" / "rnn.json"
    result = run("rnn", "--hidden", "8", "--batch", "3", "--turns", "2", "--peak-size", "32", "--json", str(out))
    assert result.exit_code == 0, result.output
    report = read_report(out)
    assert isinstance(report, LayerReport)
    assert [row.mode for row in report.rows] == ["inference", "forward+backward"]
    assert all(figure.parity <= 1e-4 for row in report.rows for figure in row.figures.values())
    assert report_text(report) in result.output


def test_encoding_figures_are_written(tmp_path: Path):
    out, sentences = tmp_path / "encode.json", tmp_path / "lines.txt"
    sentences.write_text("\n".join(f"a sentence of number {number}" for number in range(9)))
    flags = ["--hidden", "8", "--batch", "3", "--turns", "2", "--peak-size", "32", "--count", "3", "--count", "5"]
    files = ["--sentences", str(sentences), "--texts", "9", "--minilm", str(tmp_path)]
    result = run("encode", *flags, *files, "--json", str(out))
    assert result.exit_code == 0, result.output
    report = read_report(out)
    assert isinstance(report, EncodeReport)
    assert [row.sentences for row in report.linearity] == [3, 5] * 3
    assert report.texts.source == "lines.txt"


def test_mistakes_are_told_before_anything_is_measured(tmp_path: Path):
    result = run("encode", "--sentences", str(tmp_path / "nowhere.txt"))
    assert result.exit_code == 1
    assert "nowhere.txt" in result.output


def test_the_report_is_made(tmp_path: Path):
    pytest.importorskip("matplotlib")
    (tmp_path / "README.md").write_text("<!-- begin rnn -->\n<!-- end rnn -->\n")
    out = str(tmp_path / "results" / "rnn.json")
    assert (
        run("rnn", "--hidden", "8", "--batch", "3", "--turns", "2", "--peak-size", "32", "--json", out).exit_code == 0
    )
    result = run("report", "--folder", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "plots").glob("rnn-*.svg"))) == 4
    assert "| 8 | 3 |" in (tmp_path / "README.md").read_text()


def test_training_figures_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        training, "median_ratio", lambda slower, faster: {"torch.nn.LSTM": 8.0, "simlstm": 2.0}[slower.name]
    )
    config = tmp_path / "tiny.toml"
    config.write_text(
        '[data]\ntrain = "demo:en:test"\ndev = "demo:en:dev"\n'
        "[model]\nembedding_size = 6\nhidden_size = 5\nembedding_dropout = 0.2\nhead_dropout = 0.1\n"
    )
    out = tmp_path / "train.json"
    result = run("train", "--config", str(config), "--steps", "3", "--json", str(out))
    assert result.exit_code == 0, result.output
    report = read_report(out)
    assert isinstance(report, TrainReport)
    assert report.steps == 3
    assert report.step_ratio == 8.0, "stock over ours"
    ours, stock = report.figures["simlstm"], report.figures["torch.nn.LSTM"]
    assert stock.timing.turns == 3
    assert report.total_ratio == pytest.approx(stock.seconds / ours.seconds)
    assert ours.sentences_per_second == pytest.approx(report.sentences / ours.seconds)
    assert list(ours.parts) == ["collate", "forward", "backward", "update"]
    assert sum(ours.parts.values()) <= 1.5 * max(ours.timing.quartiles_s), "parts of a step, not of all steps"


STEPPED = """
[data]
train = "demo:en:test"
dev = "demo:en:dev"
[model]
embedding_size = 6
hidden_size = 5
[optimizer]
warmup_fraction = 0.3
max_gradient_norm = 0.5
[training]
epochs = 1
batch_size = 64
ema_decay = 0.0
device = "cpu"
tensorboard = false
"""


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_step_is_the_loops(tmp_path: Path, precision: str):
    file = tmp_path / "tiny.toml"
    file.write_text(STEPPED + f'precision = "{precision}"\n')
    config = load_config(file)
    train(config, tmp_path / "run", evaluate=evaluate_model)
    trained = SimilarityModel.from_pretrained(tmp_path / "run", device="cpu").model.state_dict()
    data = read_run_data(config)
    start = build_start(config, data)
    corpus = build_corpus(config, data, start)
    watch = Stopwatch()
    step = stepper(start.model, corpus, config, watch, precision=config.training.precision)
    for number, planned in enumerate(corpus.epoch(0)):
        step(planned, number)
    for name, weights in start.model.state_dict().items():
        torch.testing.assert_close(weights, trained[name], rtol=0, atol=0, msg=name)
    assert {len(laps) for laps in watch.laps.values()} == {len(corpus.epoch(0))}


@pytest.mark.parametrize(("flags", "threads"), [((), 1), (("--threads", "2"), 2)])
def test_threads_and_precision_are_the_experiments(tmp_path: Path, flags: tuple[str, ...], threads: int):
    before = torch.get_num_threads()
    file = tmp_path / "tiny.toml"
    file.write_text(STEPPED + 'precision = "bf16"\nthreads = 1\n')
    out = tmp_path / "train.json"
    torch.set_num_threads(3)
    try:
        result = run("train", "--config", str(file), "--steps", "2", "--json", str(out), *flags)
    finally:
        torch.set_num_threads(before)
    assert result.exit_code == 0, result.output
    report = read_report(out)
    assert (report.precision, report.machine.threads) == ("bf16", threads)


def test_a_missing_configuration_is_named():
    result = run("train", "--config", "nowhere.toml", "--steps", "3")
    assert result.exit_code == 1
    assert "nowhere.toml" in result.output
