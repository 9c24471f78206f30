"""The training command: flags, exits, and words."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from scripts.train import main
from simlstm.evaluation.evaluate import evaluate_model
from simlstm.models.similarity import SimilarityModel
from simlstm.training.config_file import load_config
from simlstm.training.display import Display
from simlstm.training.folder import RunFolder
from simlstm.training.identity import saved_config
from simlstm.training.run import train
from tests.scripts.pair_files import TINY, write_experiment

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train.py"


@pytest.fixture
def files(tmp_path):
    return write_experiment(tmp_path)


def _run(*arguments):
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_configuration_and_flags_make_a_checkpoint(files, tmp_path):
    toml, *_ = files
    out = tmp_path / "run"
    result = _run("--config", toml, "--out", out, *TINY, "--seed", 7, "--threads", 1, "--set", "training.epochs=1")
    assert result.exit_code == 0, result.output
    assert f"{out}: dev spearman" in result.stdout
    model = SimilarityModel.from_pretrained(out)
    assert model.provenance["seed"] == 7
    assert model.metrics["steps"] == 8
    assert 0 <= model.probability(["red cat"], ["red dog"])[0] <= 1
    again = _run("--config", toml, "--out", out, *TINY)
    assert again.exit_code == 1
    assert "a finished run in this folder; --resume goes on with it, --overwrite replaces it" in again.stderr
    assert f"{out} is a finished run; nothing to do" in _run("--out", out, "--resume").stdout


def test_files_without_a_configuration(files, tmp_path):
    _, train, dev = files
    labels = [path.with_suffix(".tsv") for path in (train, dev)]
    for path, label in zip((train, dev), labels, strict=True):
        rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
        label.write_text("".join(f"{a}\t{b}\t{int(float(s) >= 3)}\n" for a, b, s in rows))
    result = _run("--train", labels[0], "--dev", labels[1], "--format", "bq", "--out", tmp_path / "run", *TINY,
                  "--set", "training.epochs=1", "--set", "calibration.method=none")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "dev roc_auc" in result.stdout
    assert SimilarityModel.from_pretrained(tmp_path / "run").calibration is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "training.epoch=1"], "[training] epoch: unknown key (did you mean epochs?)"),
        (["--set", "nonsense"], "expected section.key=value"),
        (["--device", "cuda:77"], "[training] device: got 'cuda:77'"),
        (["--dev", "missing.csv"], "missing.csv: no such file"),
        (["--set", "loss.weights.contrastive=1"], "[loss] contrastive: needs binary data"),
        (["--resume", "--overwrite"], "give one of them"),
    ],
)
def test_mistakes_end_with_one_message_and_no_folder(files, tmp_path, arguments, message):
    result = _run("--config", files[0], "--out", tmp_path / "run", *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "run").exists()


def test_flags_name_files_from_where_the_command_is_typed(tmp_path, monkeypatch):
    """Whatever root and dev_fraction a shipped configuration has."""
    toml = tmp_path / "shipped.toml"
    toml.write_text('[data]\nroot = "../elsewhere"\ntrain = ["x.tsv"]\ndev_fraction = 0.1\n')
    for name in ("mine.csv", "other.csv"):
        (tmp_path / name).write_text("sentence1,sentence2,score\na b,a c,0.5\nd e,f g,0.25\nh,h,1\n")
    monkeypatch.chdir(tmp_path)
    for dev in ("other.csv", "demo:dev"):
        result = _run("--config", toml, "--train", "mine.csv", "--dev", dev, "--out", f"run {dev[0]}", *TINY,
                      "--set", "training.epochs=1", "--set", "calibration.positive_from=0.4")  # fmt: skip
        assert result.exit_code == 0, result.output
        data = SimilarityModel.from_pretrained(f"run {dev[0]}").provenance["data"]
        assert data["train"][0]["name"].endswith("mine.csv")


def test_resuming_lays_flags_over_the_saved_configuration(files, tmp_path):
    folder = RunFolder(tmp_path / "run")
    config = load_config(files[0], overrides=["training.epochs=1"], flags={"training.device": "cpu"})
    with pytest.raises(KeyboardInterrupt):
        train(config, folder.path, evaluate=evaluate_model, display=StopsAtOnce())
    assert saved_config(folder, flags={"training.threads": None}) == config
    result = _run("--out", folder.path, "--resume", "--threads", 1, "--set", "training.epochs=7")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[1:] == [
        "[training] epochs: the run was started with 1, got 7",
        "[training] threads: the run was started with None, got 1",
    ]


class StopsAtOnce(Display):
    def advance(self, *_, **__):
        raise KeyboardInterrupt


def test_resuming_nothing_without_a_configuration_says_so(tmp_path):
    result = _run("--out", tmp_path / "run", "--resume")
    assert result.exit_code == 1
    assert "no run to resume, and no --config to start one" in result.stderr


CONSOLE = str(Path(sys.executable).with_name("simlstm"))


@pytest.mark.parametrize(
    ("number", "code", "started_as", "goes_on_as"),
    [
        (signal.SIGINT, 130, [sys.executable, str(SCRIPT)], ["python", str(SCRIPT)]),
        (signal.SIGTERM, 143, [CONSOLE, "train"], [CONSOLE, "train"]),
    ],
)
def test_a_signal_saves_the_state_and_tells_how_to_go_on(files, tmp_path, number, code, started_as, goes_on_as):
    out = tmp_path / "my run"
    options = ["--config", str(files[0]), "--out", str(out), *TINY, "--set", "training.epochs=3000"]
    process = subprocess.Popen(
        [*started_as, *options],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[1])},
    )
    while process.poll() is None and not list(out.glob("state/best-*")):
        time.sleep(0.01)
    process.send_signal(number)
    _, words = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"stopped by {number.name} after step" in words
    assert "the state is saved\ngo on with: " in words
    assert shlex.split(words.splitlines()[-1].removeprefix("go on with: ")) == [*goes_on_as, *options, "--resume"]
    assert "Traceback" not in words
    saved = [int(entry.name.removeprefix("step-")) for entry in (out / "state").glob("step-*")]
    refused = _run("--out", out, "--resume", "--config", files[0])
    assert "[training] epochs: the run was started with 3000, got 2" in refused.stderr
    assert len(saved) == 1
