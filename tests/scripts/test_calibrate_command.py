"""The command that fits a checkpoint's probabilities again."""

import json

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

import scripts.calibrate
from scripts.calibrate import main
from simlstm.data.formats import read_pairs
from simlstm.evaluation.crossfit import cross_fitted_error
from simlstm.evaluation.evaluate import calibrate_model, score_pairs
from simlstm.models import shipped
from simlstm.models.checkpoint import read_checkpoint
from simlstm.models.config import ModelConfig
from simlstm.models.siamese import SiameseModel
from simlstm.models.similarity import SimilarityModel
from simlstm.text.tokenizer import Tokenizer

WORDS = ["red", "blue", "green", "cat", "dog", "tree", "river", "stone", "house", "door"]


@pytest.fixture
def data(tmp_path):
    """1,200 labelled pairs whose sentences share words when they are positive."""
    chance = np.random.default_rng(0)
    rows = []
    for _ in range(1_200):
        first = chance.choice(WORDS, 4)
        label = int(chance.random() < 0.4)
        second = np.where(chance.random(4) < (0.8 if label else 0.2), first, chance.choice(WORDS, 4))
        rows.append(f"{' '.join(first)}\t{' '.join(second)}\t{label}\n")
    file = tmp_path / "dev.tsv"
    file.write_text("".join(rows))
    return file


@pytest.fixture
def checkpoint(tmp_path):
    tokenizer = Tokenizer.train([" ".join(WORDS)])
    torch.manual_seed(0)
    config = ModelConfig(vocabulary_size=tokenizer.vocabulary_size, embedding_size=8, hidden_size=6, kind="binary",
                         head="cosine")  # fmt: skip
    model = SimilarityModel(SiameseModel.from_config(config).eval(), tokenizer, config=config)
    model.metrics, model.provenance = {"dev": {"roc_auc": 0.5}}, {"seed": 3}
    model.save_pretrained(tmp_path / "model", storage="int8")
    return tmp_path / "model"


def _run(*arguments):
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_the_checkpoint_gets_the_fitted_calibration_and_the_honest_error(checkpoint, data, method):
    weights = (checkpoint / "model.safetensors").read_bytes()
    result = _run("--model", checkpoint, "--data", data, "--format", "bq", "--method", method, "--threads", 1)
    assert result.exit_code == 0, result.output
    assert (checkpoint / "model.safetensors").read_bytes() == weights
    stored = read_checkpoint(checkpoint)
    assert stored.storage == "int8"
    pairs = read_pairs(data, format="bq")
    model = SimilarityModel.from_pretrained(checkpoint)
    scores, _ = score_pairs(model, pairs)
    assert stored.calibration == calibrate_model(model, pairs, method=method)
    error = cross_fitted_error(scores, pairs.scaled_targets(), method=method)
    assert stored.metrics["calibration_error"]["equal_mass"] == pytest.approx(error.equal_mass)
    assert stored.metrics["dev"] == {"roc_auc": 0.5}
    assert stored.provenance["seed"] == 3
    assert f"5 folds, 10 bins: {error.equal_mass:.4f} of equal mass" in result.stdout
    assert "calibration_error.equal_width" in (checkpoint / "README.md").read_text()


def test_out_and_dry_run_leave_the_checkpoint_alone(checkpoint, data, tmp_path):
    before = {file.name: file.read_bytes() for file in checkpoint.iterdir()}
    for further in (["--dry-run"], ["--out", tmp_path / "other"]):
        result = _run("--model", checkpoint, "--data", data, "--format", "bq", "--folds", 3, *further)
        assert result.exit_code == 0, result.output
        assert "3 folds" in result.stdout
        assert {file.name: file.read_bytes() for file in checkpoint.iterdir()} == before
    assert json.loads((tmp_path / "other" / "metrics.json").read_text())["calibration_error"]["folds"] == 3


def test_mistakes_end_with_one_message(checkpoint, data, tmp_path):
    few = tmp_path / "few.tsv"
    few.write_text("".join(data.read_text().splitlines(keepends=True)[:50]))
    result = _run("--model", checkpoint, "--data", few, "--format", "bq", "--method", "isotonic")
    assert result.exit_code == 1
    assert "isotonic needs 1000 pairs or more to be better than platt, got 50" in result.stderr
    assert read_checkpoint(checkpoint).calibration is None


def test_what_was_measured_with_another_threshold_does_not_stay(checkpoint, data, tmp_path):
    model = SimilarityModel.from_pretrained(checkpoint)
    model.metrics, model.provenance = {"own": {"accuracy": 0.123}}, {"packed": {"storage": "int8"}}
    model.save_pretrained(checkpoint, storage="int8")
    assert _run("--model", checkpoint, "--data", data, "--format", "bq").exit_code == 0
    stored = read_checkpoint(checkpoint)
    assert stored.metrics.keys() == {"calibration_and_threshold_fitted_on", "calibration_error"}
    assert stored.provenance["metrics_before_calibration"] == {"own": {"accuracy": 0.123}}


def test_a_shipped_checkpoint_is_found_by_name_and_not_rewritten(checkpoint, data, tmp_path, monkeypatch):
    for module in (shipped, scripts.calibrate):
        monkeypatch.setattr(module, "FOLDER", tmp_path)
    monkeypatch.setattr(shipped, "SHIPPED", ("model",))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = (checkpoint / "config.json").read_bytes()
    result = _run("--model", "model", "--data", data, "--format", "bq")
    assert result.exit_code == 1
    assert "model is shipped and is not rewritten; name another folder by --out" in result.stderr
    assert _run("--model", "model", "--data", data, "--format", "bq", "--out", "mine").exit_code == 0
    assert read_checkpoint(tmp_path / "here" / "mine").calibration is not None
    assert (checkpoint / "config.json").read_bytes() == before
