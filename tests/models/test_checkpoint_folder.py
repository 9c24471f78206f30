"""Checkpoint folders: round trips, what is left alone, and every kind of damage refused by name."""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml

from simlstm import SimilarityModel
from simlstm.models.atomic import WHOLE, WRITING
from simlstm.models.calibration import Calibration
from simlstm.models.checkpoint import Checkpoint, CheckpointError, read_checkpoint, write_checkpoint
from simlstm.models.folder import NAMES
from simlstm.models.manifest import dump_manifest, parse_manifest

Build = Callable[..., SimilarityModel]


@pytest.fixture
def folder(make_model: Build, platt: Calibration, tmp_path: Path) -> Path:
    make_model(calibration=platt).save_pretrained(tmp_path / "run")
    return tmp_path / "run"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def checkpoint_of(model: SimilarityModel) -> Checkpoint:
    return Checkpoint(
        config=model.config,
        state=model.model.state_dict(),
        tokenizer=model.tokenizer,
        calibration=model.calibration,
        metrics=model.metrics,
        provenance=model.provenance,
    )


def rewrite(folder: Path, name: str, content: bytes | None, record: str | None = None) -> None:
    """Change a file and make config.json agree, as a hostile writer would."""
    document = json.loads((folder / "config.json").read_bytes())
    if content is None:
        del document["files"][name]
    else:
        (folder / name).write_bytes(content)
        document["files"][record or name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    change_config(folder, document)


def change_config(folder: Path, document: dict[str, Any]) -> None:
    document.pop("sha256", None)
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    (folder / "config.json").write_text(
        json.dumps({**document, "sha256": hashlib.sha256(canonical.encode()).hexdigest()})
    )


def edit_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads((folder / "config.json").read_bytes())
    change(document)
    change_config(folder, document)


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    state = safetensors.torch.load((folder / "model.safetensors").read_bytes())
    change(state)
    rewrite(folder, "model.safetensors", safetensors.torch.save(state))


def test_the_folder_holds_the_documented_files(folder: Path) -> None:
    assert names_in(folder) == sorted(NAMES)
    document = json.loads((folder / "config.json").read_bytes())
    assert document["format"] == "simlstm-checkpoint"
    assert document["versions"]["torch"] == str(torch.__version__)
    for name, record in document["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == record["sha256"]


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
    with pytest.raises(CheckpointError, match=r"en: there is no such folder; a model is the folder of a checkpoint"):
        SimilarityModel.from_pretrained("en")
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"file: not a folder; a model is the folder that holds config.json"):
        read_checkpoint(tmp_path / "file")
    with pytest.raises(CheckpointError, match=r"file: is a file; a checkpoint is a folder"):
        make_model().save_pretrained(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"empty.config.json: missing"):
        read_checkpoint(tmp_path / "empty")


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{name}: missing"):
        read_checkpoint(folder)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("keep", [0, 1, 0.5, -2])
def test_a_file_that_was_cut_off(folder: Path, name: str, keep: float) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2 if keep == 0.5 else int(keep)])
    reason = "not valid JSON" if name == "config.json" else "the file was cut off"
    with pytest.raises(CheckpointError, match=rf"{name}: .*{reason}"):
        read_checkpoint(folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_grew(folder: Path, name: str) -> None:
    with (folder / name).open("ab") as file:
        file.write(b"x")
    with pytest.raises(CheckpointError, match=name):
        read_checkpoint(folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_bit(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    for position in range(0, len(content), max(1, len(content) // 50)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        (folder / name).write_bytes(flipped)
        with pytest.raises(CheckpointError, match=name):
            read_checkpoint(folder)
    (folder / name).write_bytes(content)
    read_checkpoint(folder)


def test_any_flipped_bit_in_the_configuration(folder: Path) -> None:
    content = (folder / "config.json").read_bytes()
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        with pytest.raises(CheckpointError):
            parse_manifest(bytes(flipped), folder / "config.json")
    path = folder / "config.json"
    assert dump_manifest(parse_manifest(content, path)) == content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format="other"), r"config.json: format is 'other', not 'simlstm-checkpoint'"),
        (lambda d: d.pop("format"), r"config.json: format is None"),
        (lambda d: d.update(format_version=2), r"config.json: format_version is 2, this version of simlstm .* reads 1"),
        (lambda d: d.update(format_version="1"), r"config.json: format_version is '1'"),
        (lambda d: d["model"].update(hidden_size=-1), r"config.json: model.hidden_size: Input should be greater"),
        (lambda d: d["model"].update(layers=1), r"config.json: model.layers: Extra inputs are not permitted"),
        (lambda d: d["model"].update(dropout=0.5), r"config.json: model: .*dropout=0.5 acts between"),
        (lambda d: d["model"].pop("vocabulary_size"), r"config.json: model.vocabulary_size: Field required"),
        (lambda d: d["model"].update(unknown_id=1), r"tokenizer.json: unknown_id is 0, the configured model has 1"),
        (
            lambda d: d["model"].update(pooling="attention"),
            r"model.safetensors: .* missing encoder.pooling.hidden",
        ),
        (lambda d: d["model"].update(head="cosine", head_hidden_size=128), r"unexpected head.layers.0.bias"),
        (lambda d: d["model"].update(hidden_size=65_536), r"has shape \[.*\], the configured model \["),
        (lambda d: d.pop("files"), r"config.json: files: Field required"),
        (lambda d: d["files"]["README.md"].update(sha256="../x"), r"config.json: files.README.md.sha256"),
        (
            lambda d: d["files"].update({"../secret": d["files"]["README.md"]}),
            r"lists the file '../secret'",
        ),
        (lambda d: d["files"].update({"/etc/passwd": d["files"]["README.md"]}), r"lists the file '/etc/passwd'"),
        (lambda d: d["files"].update({"config.json": d["files"]["README.md"]}), r"lists the file 'config.json'"),
        (lambda d: d["files"].pop("model.safetensors"), r"config.json: does not list model.safetensors"),
        (lambda d: d.update(extra=1), r"config.json: extra: Extra inputs"),
    ],
)
def test_a_configuration_that_makes_no_sense(
    folder: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit_config(folder, change)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "config.json: not valid JSON"),
        (b"\xff\xfe", "config.json: not valid JSON"),
        (b"[1]", "config.json: holds a JSON list, an object is expected"),
        (b'{"format": NaN}', "config.json: not valid JSON: NaN is no JSON"),
        (b"[" * 100_000, "config.json: not valid JSON"),
        (b" " * (17 * 2**20), "config.json: 17,825,792 bytes, at most 16,777,216 expected"),
    ],
)
def test_a_configuration_that_is_no_object(folder: Path, content: bytes, message: str) -> None:
    (folder / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(folder)


def test_a_configuration_edited_by_hand(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"max_tokens": 256', '"max_tokens": 512'))
    with pytest.raises(CheckpointError, match=r"config.json: does not match the hash that it carries"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(extra=torch.zeros(1)), "unexpected extra"),
        (lambda s: s.pop("head.layers.3.bias"), r"missing head.layers.3.bias"),
        (lambda s: s.update({"head.layers.3.bias": torch.zeros(7)}), r"head.layers.3.bias has shape \[7\], .* \[5\]"),
        (lambda s: s.update({"head.layers.3.bias": torch.zeros(5).half()}), "is torch.float16, .* torch.float32"),
        (lambda s: s["head.layers.3.bias"].fill_(torch.nan), "head.layers.3.bias holds NaN or an infinity"),
        (lambda s: s["head.layers.3.bias"].fill_(-torch.inf), "head.layers.3.bias holds NaN or an infinity"),
    ],
)
def test_weights_of_another_model(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], object], message: str
) -> None:
    change_weights(folder, change)
    with pytest.raises(CheckpointError, match=rf"model.safetensors: .*{message}"):
        read_checkpoint(folder)


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"\xff" * 64, (2**40).to_bytes(8, "little") + b"{}"])
def test_weights_that_are_no_safetensors(folder: Path, content: bytes) -> None:
    rewrite(folder, "model.safetensors", content)
    with pytest.raises(CheckpointError, match=r"model.safetensors: not valid safetensors"):
        read_checkpoint(folder)


@pytest.mark.parametrize("name", ["tokenizer.json", "calibration.json", "metrics.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'"text"', b"[" * 100_000])
def test_documents_that_are_something_else(folder: Path, name: str, content: bytes) -> None:
    rewrite(folder, name, content)
    with pytest.raises(CheckpointError, match=name):
        read_checkpoint(folder)


def test_a_calibration_that_makes_no_sense(folder: Path) -> None:
    rewrite(folder, "calibration.json", b'{"method": "platt"}')
    with pytest.raises(CheckpointError, match=r"calibration.json: parameters: Field required; threshold: Field"):
        read_checkpoint(folder)


def test_a_calibration_that_is_not_listed_does_not_count(folder: Path) -> None:
    rewrite(folder, "calibration.json", None)
    assert read_checkpoint(folder).calibration is None


@pytest.mark.parametrize("suffix", [".pkl", ".pt", ".bin", ".PTH", ".joblib"])
def test_files_that_may_carry_code(folder: Path, suffix: str) -> None:
    (folder / f"extra{suffix}").write_bytes(b"\x80\x04.")
    with pytest.raises(CheckpointError, match=rf"extra{suffix}: .* may hold pickled code"):
        read_checkpoint(folder)


@pytest.mark.parametrize("name", NAMES)
def test_links_that_lead_outside(folder: Path, name: str) -> None:
    outside = folder.parent / "outside"
    shutil.move(folder / name, outside)
    (folder / name).symlink_to(outside)
    with pytest.raises(CheckpointError, match=rf"{name}: a link to .*outside, outside of the checkpoint folder"):
        read_checkpoint(folder)


def test_a_staged_folder_that_leads_outside(folder: Path) -> None:
    shutil.copytree(folder, folder.parent / "other")
    (folder / WHOLE).symlink_to(folder.parent / "other", target_is_directory=True)
    with pytest.raises(CheckpointError, match="outside of the checkpoint folder"):
        read_checkpoint(folder)


def test_a_writer_follows_no_staged_link(folder: Path, make_model: Build) -> None:
    other = folder.parent / "other"
    shutil.copytree(folder, other)
    (folder / WHOLE).symlink_to(other, target_is_directory=True)
    (folder / WRITING).symlink_to(other, target_is_directory=True)
    make_model(seed=1).save_pretrained(folder)
    assert read_checkpoint(folder).metrics["seed"] == 1
    assert names_in(other) == sorted(NAMES)


def test_links_inside_and_a_linked_folder_are_fine(folder: Path) -> None:
    (folder / "README.md").rename(folder / "card.md")
    (folder / "README.md").symlink_to("card.md")
    (folder.parent / "best").symlink_to(folder, target_is_directory=True)
    assert read_checkpoint(folder.parent / "best").metrics["seed"] == 0


def test_what_is_no_regular_file(folder: Path) -> None:
    (folder / "README.md").unlink()
    os.mkfifo(folder / "README.md")
    with pytest.raises(CheckpointError, match=r"README.md: not a regular file"):
        read_checkpoint(folder)
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to("README.md")
    with pytest.raises(CheckpointError, match=r"README.md: cannot be read"):
        read_checkpoint(folder)


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
