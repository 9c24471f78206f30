"""Recipes: what the steps are, and that each runs once."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from scripts.recipe import main
from scripts.recipes.plan import RecipeError, plan, read_recipe
from scripts.recipes.runner import Records
from simlstm.models.checkpoint import read_checkpoint
from tests.scripts.pair_files import TINY, write_experiment

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = [word for word in TINY if word not in {"--set", "--device", "cpu"}]


def _run(*arguments):
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def recipe(tmp_path):
    """Write a recipe of given steps beside a small experiment; ``{toml}`` in them is the experiment."""
    toml = write_experiment(tmp_path)[0]

    def write(text):
        file = tmp_path / "mine.toml"
        file.write_text(text.replace("{toml}", str(toml)))
        return file

    return write


THREE = """
about = "a number"
seeds = [4]
[[steps]]
name = "first"
config = "{toml}"
set = ["training.epochs=1", "training.device=cpu", SMALL]
[[steps]]
name = "second"
config = "{toml}"
seeds = "each"
needs = ["first"]
set = ["training.device=cpu", "training.tensorboard=false"]
[[steps]]
name = "test"
seeds = "each"
command = ["evaluate", "--model", "{second}", "--data", "DEV", "--sentence1", "sentence1", "--sentence2", "sentence2",
    "--target", "score", "--score-range", "0", "5", "--device", "cpu", "--json", "{out}"]
metrics = "{out}"
"""


def test_steps_run_in_order_hand_on_their_checkpoints_and_run_once(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(REPOSITORY)
    text = THREE.replace("SMALL", ", ".join(map(json.dumps, SMALL))).replace("DEV", str(tmp_path / "dev.csv"))
    file, out = recipe(text), tmp_path / "made"
    result = _run(file, "--out", out, "--threads", 1)
    assert result.exit_code == 0, result.output
    second = read_checkpoint(out / "second" / "seed-4")
    assert second.provenance["notes"]["initial_checkpoint"] == "first"
    assert second.provenance["seed"] == 4
    summary = json.loads((out / "summary.json").read_text())
    assert [step["step"] for step in summary["steps"]] == ["first", "second", "test"]
    assert all(step["wall_seconds"] > 0 for step in summary["steps"])
    assert summary["results"]["second"]["metrics"]["pearson"] == {
        "mean": second.metrics["dev"]["pearson"], "sd": None, "values": [second.metrics["dev"]["pearson"]],
    }  # fmt: skip
    measured = json.loads((out / "test" / "seed-4").read_text())["metrics"]
    assert summary["results"]["test"]["metrics"]["mse"]["values"] == [measured["mse"]]

    stamp = (out / "first" / "config.json").stat().st_mtime_ns
    monkeypatch.setattr("scripts.recipes.runner._call", None)  # no further command may run
    again = _run(file, "--out", out)
    assert again.exit_code == 0, again.output
    assert "second-seed-4: finished before" in again.stdout
    assert (out / "first" / "config.json").stat().st_mtime_ns == stamp
    assert json.loads((out / "summary.json").read_text())["results"] == summary["results"]

    # What a finished run has read must still be there as it was.
    train = (tmp_path / "train.csv").read_bytes()
    (tmp_path / "train.csv").write_bytes(train + b"\na red cat,a blue cat,3.0")
    assert "first: a finished run of other data; changed since: " in _run(file, "--out", out).stderr
    (tmp_path / "train.csv").write_bytes(train)

    # A run that was finished, but not yet recorded, is found finished; one of another configuration is not.
    (out / "steps" / "first.json").unlink()
    assert _run(file, "--out", out).exit_code == 0
    (out / "steps" / "first.json").unlink()
    other = _run(recipe(text.replace("epochs=1", "epochs=9")), "--out", out)
    assert other.exit_code == 1
    assert "[training] epochs: the run was started with 1, got 9" in other.stderr


def test_a_changed_step_is_not_taken_for_the_old_one(recipe, tmp_path):
    text = 'seeds = [0]\n[[steps]]\nname = "a"\ncommand = ["help", "{out}"]\n'
    text += '[[steps]]\nname = "b"\nneeds = ["a"]\ncommand = ["help", "{out}"]\n'
    root = tmp_path / "made"
    root.mkdir()
    records = Records(root)
    first = plan(read_recipe(recipe(text)), root, seeds=[0])
    for job in first:
        job.out.write_text("made")
        records.write(job, 1.0)
    assert all(records.read(job) for job in first)
    changed = plan(read_recipe(recipe(text.replace('["help", "{out}"]', '["help", "x", "{out}"]', 1))), root, seeds=[0])
    for job in changed:  # the second one's own words are the same, but what it needs is not
        with pytest.raises(RecipeError, match=f"step {job.name}: .* was made by another command"):
            records.read(job)
    first[0].out.unlink()
    assert records.read(first[0]) is None


def test_dry_run_prints_the_commands_and_makes_nothing(recipe, tmp_path):
    file = recipe(
        'data = "sets"\n[[steps]]\nname = "t"\nconfig = "{toml}"\n'
        '[[steps]]\nname = "tune"\nseeds = "each"\nconfig = "{toml}"\nset = ["distillation.teacher={t}/model"]\n'
        '[[steps]]\nname = "pack"\nneeds = ["tune"]\nout = "en"\n'
        'command = ["pack", "--model", "{tune}/seed-0", "--out", "{out}", "--data", "{data}/x"]\n'
    )
    result = _run(file, "--dry-run", "--seeds", "0,7", "--out", "o", "--set", "training.epochs=3")
    assert result.exit_code == 0, result.output
    start = f"simlstm train --config {tmp_path}/experiment.toml"
    assert result.stdout.splitlines() == [
        f"{start} --out o/t --resume --set training.epochs=3",
        f"{start} --out o/tune/seed-0 --resume --seed 0 --set distillation.teacher=o/t/model --set training.epochs=3",
        f"{start} --out o/tune/seed-7 --resume --seed 7 --set distillation.teacher=o/t/model --set training.epochs=3",
        "simlstm pack --model o/tune/seed-0 --out en --data sets/x",
    ]
    elsewhere = _run(file, "--dry-run", "--seeds", "0", "--out", "o", "--data", "/d").stdout.splitlines()
    assert elsewhere[0].endswith("--set data.root=/d")
    assert elsewhere[-1].endswith("--data /d/x")
    assert not Path("o").exists()


def test_a_further_seed_leaves_the_others_and_what_was_made_of_them(recipe, tmp_path):
    recipe_ = read_recipe(
        recipe(
            '[[steps]]\nname = "tune"\nseeds = "each"\nconfig = "{toml}"\n'
            '[[steps]]\nname = "pack"\ncommand = ["pack", "{tune}/seed-0"]\n'
        )
    )
    few = {job.name: job.fingerprint for job in plan(recipe_, tmp_path, seeds=[0])}
    more = {job.name: job.fingerprint for job in plan(recipe_, tmp_path, seeds=[0, 1])}
    assert more.items() > few.items()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = []", "steps: Tuple should have at least 1 item"),
        ('[[steps]]\nname = "a"', "step a: give exactly one of config (a training run) and command"),
        ('[[steps]]\nname = "a"\ncommand = ["x"]\nset = ["a.b=1"]', "set belongs to a training run"),
        ('[[steps]]\nname = "seed"\ncommand = ["x"]', "the name is a placeholder's"),
        ('[[steps]]\nname = "a"\ncommand = ["{b}"]', "step a: {b} stands for nothing; allowed: root, data, out"),
        ('[[steps]]\nname = "a"\ncommand = ["x"]\nneeds = ["b"]', "step a: needs 'b'; the steps before it: -"),
        ('[[steps]]\nname = "a"\nconfig = "missing.toml"', "step a: missing.toml: cannot be read"),
        (
            '[[steps]]\nname = "a"\nseeds = "each"\nconfig = "{toml}"\n'
            '[[steps]]\nname = "b"\nconfig = "{toml}"\nneeds = ["a"]',
            "step b: runs once and needs a, which has a run for each seed",
        ),
        ("nonsense", "not a TOML file"),
    ],
)
def test_mistakes(recipe, tmp_path, text, message):
    result = _run(recipe(text), "--out", tmp_path / "made")
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "made").exists()


def test_a_failing_step_ends_the_recipe(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    result = _run(recipe('[[steps]]\nname = "a"\ncommand = ["nonsense"]'), "--out", tmp_path / "made")
    assert result.exit_code == 1
    assert "step a: the command failed (exit 1): simlstm nonsense" in result.stderr
    assert not (tmp_path / "made" / "steps").exists()


def test_a_signal_reaches_the_run_which_saves_its_state(recipe, tmp_path):
    settings = ", ".join(map(json.dumps, [*SMALL, "training.epochs=3000", "training.device=cpu"]))
    file = recipe(f'seeds = [0]\n[[steps]]\nname = "a"\nconfig = "{{toml}}"\nset = [{settings}]\n')
    out = tmp_path / "made"
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts", "recipe", str(file), "--out", str(out)],
        cwd=REPOSITORY, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    while process.poll() is None and not list(out.glob("a/state/best-*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, words = process.communicate(timeout=120)
    assert process.returncode == 143, words
    assert "a: stopped; the same command goes on" in words
    assert list(out.glob("a/state/step-*"))
