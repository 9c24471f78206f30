"""The benchmark: it takes turns, refuses wrong layers, and writes what it saw."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from scripts.benchmark import main
from scripts.benchmarking import interleave, rnn
from scripts.benchmarking.interleave import Measurement, machine, median_ratio
from scripts.benchmarking.train import stepper
from simlstm.evaluation.evaluate import evaluate_model
from simlstm.models.similarity import SimilarityModel
from simlstm.rnn import LSTM
from simlstm.training.build import build_corpus, build_start
from simlstm.training.config_file import load_config
from simlstm.training.provenance import code_commit
from simlstm.training.run import train
from simlstm.training.run_data import read_run_data

ROOT = Path(__file__).parents[2]


def run(*arguments: str):
    import typer

    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, list(arguments))


def test_candidates_take_turns_in_alternating_order():
    calls: list[str] = []
    candidates = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    first, second = interleave.interleave(candidates, turns=4, warmup=2)
    assert "".join(calls) == "abba" * 3
    assert (len(first.seconds), len(second.seconds)) == (4, 4)


def test_one_turn_is_refused():
    with pytest.raises(ValueError, match="turns=1: at least 2"):
        interleave.interleave({"a": lambda: None}, turns=1)


def test_ratio_pairs_neighbouring_turns():
    # Both slow down threefold in the middle; the ratio of the paired turns does not move.
    slower, faster = Measurement("slower", [2.0, 6.0, 2.0]), Measurement("faster", [1.0, 3.0, 1.0])
    assert median_ratio(slower, faster) == 2.0
    assert slower.median == 2.0
    assert slower.quartiles == (2.0, 6.0)


def test_machine_names_what_a_figure_depends_on():
    described = machine()
    assert described["torch"] == torch.__version__
    assert described["threads"] == torch.get_num_threads()
    assert described["processor"]
    assert described["commit"] == code_commit(), "with +changes when the code was edited"


def test_layer_figures_need_no_training_package():
    code = """
import sys
from scripts.benchmarking import interleave, rnn
interleave.machine()
print(*sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"sklearn", "scipy", "tensorboard", "jieba", "pyarrow"} & set(said.stdout.split())


def test_lengths_have_the_asked_mean_and_stand_longest_first():
    lengths = rnn.gamma_lengths(20_000, 12.0, torch.Generator().manual_seed(0))
    assert abs(lengths.float().mean() - 12) < 0.2
    assert lengths.min() >= 1
    assert torch.equal(lengths, lengths.sort(descending=True).values)


def test_a_layer_that_computes_something_else_gets_no_figure():
    packed = rnn.packed_batch(3, 4.0, torch.Generator().manual_seed(0))
    gradient = torch.ones(packed.data.shape[0], 8)
    stock, other = nn.LSTM(300, 4, bidirectional=True), LSTM(300, 4, bidirectional=True)
    with pytest.raises(RuntimeError, match="parity failed"):
        rnn.check_parity(rnn.forward_backward(other, packed, gradient), rnn.forward_backward(stock, packed, gradient))


def test_layer_figures_are_written(tmp_path: Path):
    out = tmp_path / "figures" / "rnn.json"
    result = run("rnn", "--hidden", "8", "--batch", "3", "--turns", "2", "--json", str(out))
    assert result.exit_code == 0, result.output
    report = json.loads(out.read_text())
    assert {row["mode"] for row in report["rows"]} == {"forward", "forward+backward"}
    assert all(row["ratio"] > 0 and row["parity"] <= rnn.PARITY for row in report["rows"])
    assert report["machine"]["torch"] == torch.__version__


def test_training_figures_are_written(tmp_path: Path):
    config = tmp_path / "tiny.toml"
    config.write_text(
        '[data]\ntrain = "demo:en:test"\ndev = "demo:en:dev"\n'
        "[model]\nembedding_size = 6\nhidden_size = 5\nembedding_dropout = 0.2\nhead_dropout = 0.1\n"
    )
    out = tmp_path / "train.json"
    result = run("train", "--config", str(config), "--steps", "3", "--json", str(out))
    assert result.exit_code == 0, result.output
    report = json.loads(out.read_text())
    assert report["steps"] == 3
    assert report["simlstm"]["sentences_per_second"] > 0
    assert report["torch.nn.LSTM"]["turns"] == 3


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
    step = stepper(start.model, corpus, config)
    for number, planned in enumerate(corpus.epoch(0)):
        step(planned, number)
    for name, weights in start.model.state_dict().items():
        torch.testing.assert_close(weights, trained[name], rtol=0, atol=0, msg=name)


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
    report = json.loads(out.read_text())
    assert (report["precision"], report["machine"]["threads"]) == ("bf16", threads)


def test_a_missing_configuration_is_named():
    result = run("train", "--config", "nowhere.toml", "--steps", "3")
    assert result.exit_code == 1
    assert "nowhere.toml" in result.output
