"""Checkpoint folders: round trips, what is left alone, and what a reader and the card show of them."""

import hashlib
import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from simlstm import SimilarityModel
from simlstm.models.atomic import WHOLE, WRITING
from simlstm.models.calibration import Calibration
from simlstm.models.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from simlstm.models.folder import NAMES
from tests.models.checkpoint_editing import checkpoint_of, names_in

Build = Callable[..., SimilarityModel]


def test_the_folder_holds_the_documented_files(folder: Path) -> None:
    assert names_in(folder) == sorted(NAMES)
    document = json.loads((folder / "config.json").read_bytes())
    assert document["format"] == "simlstm-checkpoint"
    assert document["versions"]["torch"] == str(torch.__version__)
    for name, record in document["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == record["sha256"]


def test_settings_of_later_versions_are_named_only_where_they_do_something(make_model: Build, tmp_path: Path) -> None:
    """Earlier readers of version 1 refuse a setting that they do not know."""
    later = {"recurrent_dropout", "weight_dropout"}
    make_model().save_pretrained(tmp_path / "a")
    model = json.loads((tmp_path / "a" / "config.json").read_bytes())["model"]
    assert not later & model.keys()
    assert "word_dropout" in model
    make_model(weight_dropout=0.5).save_pretrained(tmp_path / "b")
    assert read_checkpoint(tmp_path / "b").config.weight_dropout == 0.5


def test_everything_comes_back(make_model: Build, platt: Calibration, tmp_path: Path) -> None:
    checkpoint = replace(checkpoint_of(make_model(calibration=platt)), card="# Mine\n")
    write_checkpoint(tmp_path / "a", checkpoint)
    back = read_checkpoint(tmp_path / "a")
    assert back.config == checkpoint.config
    assert back.calibration == platt
    assert (back.metrics, back.provenance, back.card) == (checkpoint.metrics, checkpoint.provenance, "# Mine\n")
    assert back.state.keys() == checkpoint.state.keys()
    assert all(torch.equal(back.state[name], checkpoint.state[name]) for name in back.state)


def test_equal_checkpoints_are_equal_files(make_model: Build, tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_model().save_pretrained(tmp_path / name / "run")
    for name in names_in(tmp_path / "a" / "run"):
        assert (tmp_path / "a" / "run" / name).read_bytes() == (tmp_path / "b" / "run" / name).read_bytes(), name


def test_values_that_json_lacks(make_model: Build, tmp_path: Path) -> None:
    checkpoint = checkpoint_of(make_model())
    metrics = {"nan": float("nan"), "inf": [np.float32("inf")], "count": np.int64(3), "half": np.float32(0.5)}
    write_checkpoint(tmp_path, replace(checkpoint, metrics=metrics, provenance={"command": "a\udc80", 1: Path("x")}))
    back = read_checkpoint(tmp_path)
    assert back.metrics == {"nan": None, "inf": [None], "count": 3, "half": 0.5}
    assert back.provenance == {"command": "a\udc80", "1": "x"}
    with pytest.raises(ValueError, match="is a set; metrics and provenance hold mappings, lists"):
        write_checkpoint(tmp_path, replace(checkpoint, metrics={"x": {1}}))
    assert read_checkpoint(tmp_path).metrics == back.metrics


def test_a_rewrite_replaces_the_checkpoint_and_nothing_else(folder: Path, make_model: Build) -> None:
    (folder / "state").mkdir()
    (folder / "state" / "optimizer.safetensors").write_bytes(b"moments")
    (folder / "train.jsonl").write_text("{}\n")
    with (folder / "train.jsonl").open("a") as log:
        make_model(seed=1).save_pretrained(folder)
        log.write("{}\n")
    assert SimilarityModel.from_pretrained(folder).metrics["seed"] == 1
    assert (folder / "state" / "optimizer.safetensors").read_bytes() == b"moments"
    assert (folder / "train.jsonl").read_text() == "{}\n{}\n", "an open log file stays the run's log file"
    assert not (folder / "calibration.json").exists(), "the new checkpoint has none"
    assert not (folder / WHOLE).exists()
    assert not (folder / WRITING).exists()


def test_what_cannot_be_stored_leaves_the_old_checkpoint(folder: Path, make_model: Build) -> None:
    model = make_model(seed=1)
    with torch.no_grad():
        model.model.encoder.embedding.weight[2, 3] = torch.nan
    with pytest.raises(CheckpointError, match=r"model.safetensors: encoder.embedding.weight holds NaN"):
        model.save_pretrained(folder)
    model.model.double()
    with pytest.raises(CheckpointError, match=r"is torch.float64, the configured model torch.float32"):
        model.save_pretrained(folder)
    other = make_model(seed=1, hidden_size=4)
    with pytest.raises(CheckpointError, match=r"has shape .* the configured model"):
        SimilarityModel(other.model, model.tokenizer, config=model.config).save_pretrained(folder)
    larger = model.config.model_copy(update={"vocabulary_size": 1000})
    with pytest.raises(CheckpointError, match=r"tokenizer.json: vocabulary_size is \d+, the configured model has 1000"):
        write_checkpoint(folder, replace(checkpoint_of(make_model()), config=larger))
    assert SimilarityModel.from_pretrained(folder).metrics["seed"] == 0


def test_a_full_disk_leaves_the_old_checkpoint(
    folder: Path, make_model: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        make_model(seed=1).save_pretrained(folder)
    assert SimilarityModel.from_pretrained(folder).metrics["seed"] == 0
    assert names_in(folder) == sorted(NAMES)


def test_a_path_that_is_no_folder(tmp_path: Path, make_model: Build) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere: there is no such folder; a model is the folder of a"):
        SimilarityModel.from_pretrained(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"file: not a folder; a model is the folder that holds config.json"):
        read_checkpoint(tmp_path / "file")
    with pytest.raises(CheckpointError, match=r"file: is a file; a checkpoint is a folder"):
        make_model().save_pretrained(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"empty.config.json: missing"):
        read_checkpoint(tmp_path / "empty")


def test_readers_beside_a_writer_see_one_checkpoint_or_the_other(folder: Path, make_model: Build) -> None:
    checkpoints = {seed: checkpoint_of(make_model(seed=seed)) for seed in (0, 1)}
    stop = threading.Event()

    def write() -> None:
        seed = 0
        while not stop.is_set():
            seed = 1 - seed
            write_checkpoint(folder, checkpoints[seed])

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    try:
        for _ in range(100):
            back = read_checkpoint(folder)
            seed = back.metrics["seed"]
            assert all(torch.equal(back.state[name], tensor) for name, tensor in checkpoints[seed].state.items())
            seen.add(seed)
    finally:
        stop.set()
        writer.join()
    assert seen == {0, 1}


def test_the_card_is_yaml_then_markdown(folder: Path) -> None:
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front) == {
        "library_name": "simlstm",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-similarity", "siamese", "lstm", "mlp"],
    }
    assert "# run" in text
    assert "| dev.spearman | 0.75 |" in text
    assert "calibrated (platt) on 500 pairs of demo dev" in text
    assert "whose score is at least 0.5 is called a match" in text


def test_the_card_keeps_its_tables_whole(make_model: Build, tmp_path: Path) -> None:
    model = make_model(head="cosine", kind="binary", bidirectional=False, num_layers=2)
    model.provenance["command"] = "train | tee\nlog"
    model.metrics.clear()
    model.save_pretrained(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "| command | train \\| tee log |" in text
    assert "one-directional LSTM (2 layers" in text
    assert "trained on 0/1 labels. There is no calibration" in text
    assert "## Measured" not in text
