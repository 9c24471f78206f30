"""Several seeds by one command: a run each, one summary."""

import json
import re
import statistics

import pytest
import typer
from typer.testing import CliRunner

from scripts.train import main
from simlstm.training.display import Display
from simlstm.training.interruption import Interrupted
from tests.scripts.pair_files import TINY, write_experiment


@pytest.fixture
def toml(tmp_path):
    return write_experiment(tmp_path)[0]


def _run(*arguments):
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _weights(folder):
    return (folder / "model.safetensors").read_bytes()


def test_each_seed_is_the_run_that_it_is_alone_and_the_summary_says_their_spread(toml, tmp_path):
    out = tmp_path / "runs"
    result = _run("--config", toml, "--out", out, "--seeds", "3,1", *TINY)
    assert result.exit_code == 0, result.output
    assert _run("--config", toml, "--out", tmp_path / "alone", "--seed", 1, *TINY).exit_code == 0
    assert _weights(out / "seed-1") == _weights(tmp_path / "alone")
    assert _weights(out / "seed-1") != _weights(out / "seed-3")
    summary = json.loads((out / "summary.json").read_text())
    dev = [json.loads((out / f"seed-{seed}" / "metrics.json").read_text())["dev"]["pearson"] for seed in (3, 1)]
    assert list(summary["runs"]) == ["3", "1"]
    assert summary["metrics"]["pearson"] == {
        "mean": statistics.fmean(dev), "sd": pytest.approx(abs(dev[0] - dev[1]) / 2**0.5), "values": dev,
    }  # fmt: skip
    assert summary["selected_by"] == "spearman"
    assert summary["dev"]["pairs"] == 64
    assert len(summary["wall_seconds"]["values"]) == 2
    assert f"{statistics.fmean(dev):.4f} ± {statistics.stdev(dev):.4f}" in result.stdout


def test_finished_seeds_are_reused_and_a_stopped_one_goes_on(toml, tmp_path, monkeypatch, caplog):
    out = tmp_path / "runs"
    assert _run("--config", toml, "--out", out, "--seeds", "0", *TINY).exit_code == 0
    before = (out / "seed-0" / "config.json").stat().st_mtime_ns

    def stop(self, step, **_):
        if step == 5:
            raise Interrupted(2, step)

    with monkeypatch.context() as patch:
        patch.setattr(Display, "advance", stop)
        stopped = _run("--config", toml, "--out", out, "--seeds", "0,1", "--set", "training.save_every=1", *TINY)
    assert stopped.exit_code == 130
    assert "go on with: " in stopped.stderr
    saved = [entry.name for entry in (out / "seed-1" / "state").glob("step-*")]
    with caplog.at_level("INFO", logger="simlstm.training.opening"):
        result = _run("--config", toml, "--out", out, "--seeds", "0,1", "--set", "training.save_every=1", *TINY)
    assert result.exit_code == 0, result.output
    assert saved == ["step-00000004"]
    assert f"resuming {out / 'seed-1'} after step 4" in caplog.text
    assert (out / "seed-0" / "config.json").stat().st_mtime_ns == before
    assert _run("--config", toml, "--out", tmp_path / "alone", "--seed", 1, *TINY).exit_code == 0
    assert _weights(out / "seed-1") == _weights(tmp_path / "alone")


def test_a_finished_seed_of_another_configuration_is_refused(toml, tmp_path):
    out = tmp_path / "runs"
    assert _run("--config", toml, "--out", out, "--seeds", "0", *TINY).exit_code == 0
    other = _run("--config", toml, "--out", out, "--seeds", "0", *TINY, "--set", "training.epochs=3")
    assert other.exit_code == 1
    assert "seed-0: a finished run of another configuration" in other.stderr
    assert "[training] epochs: the run was started with 2, got 3" in other.stderr
    assert _run("--config", toml, "--out", out, "--seeds", "0", *TINY, "--threads", 1).exit_code == 0
    with (tmp_path / "train.csv").open("a") as file:
        file.write("\na red cat,a blue cat,3.0")
    changed = _run("--config", toml, "--out", out, "--seeds", "0", *TINY)
    assert changed.exit_code == 1
    assert f"seed-0: a finished run of other data; changed since: {tmp_path / 'train.csv'}; choose" in changed.stderr


def test_the_summary_says_that_each_seed_has_a_dev_of_its_own(toml, tmp_path):
    toml.write_text(re.sub(r"(?m)^dev = .*$", "dev_fraction = 0.3", toml.read_text()))
    short = [*TINY, "--set", "training.epochs=1"]
    assert _run("--config", toml, "--out", tmp_path / "one", "--seeds", "0", *short).exit_code == 0
    assert "differs_by_seed" not in json.loads((tmp_path / "one" / "summary.json").read_text())["dev"]
    result = _run("--config", toml, "--out", tmp_path / "two", "--seeds", "0,1", *short)
    assert json.loads((tmp_path / "two" / "summary.json").read_text())["dev"]["differs_by_seed"] is True
    assert "as dev for each seed" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0,0"], "--seeds: got '0,0'; allowed: different whole numbers"),
        (["--seeds", "a"], "--seeds: got 'a'"),
        (["--seeds", "0", "--seed", "1"], "--seed and --seeds: give one of them"),
    ],
)
def test_mistakes(toml, tmp_path, arguments, message):
    result = _run("--config", toml, "--out", tmp_path / "runs", *TINY, *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "runs").exists()


def test_the_folder_of_a_run_holds_no_seeds(toml, tmp_path):
    assert _run("--config", toml, "--out", tmp_path / "run", *TINY, "--set", "training.epochs=1").exit_code == 0
    result = _run("--config", toml, "--out", tmp_path / "run", "--seeds", "0", *TINY)
    assert result.exit_code == 1
    assert "there is a run in this folder; --seeds makes a run in each of its folders" in result.stderr
