"""Checkpoint folders that are damaged, edited, or of somebody else's making: every kind is refused by name."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from simlstm import SimilarityModel
from simlstm.models.atomic import WHOLE, WRITING
from simlstm.models.checkpoint import CheckpointError, read_checkpoint
from simlstm.models.folder import NAMES
from simlstm.models.manifest import dump_manifest, parse_manifest
from tests.models.checkpoint_editing import change_weights, edit_config, names_in, rewrite

Build = Callable[..., SimilarityModel]


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
        (lambda d: d.update(format_version=3), r"config.json: format_version is 3, this version .* reads 1 and 2"),
        (lambda d: d.update(format_version=True), r"config.json: format_version is True"),
        (
            lambda d: d.update(format_version=2),
            r"config.json: .*format_version 2 came with storage 'float32'",
        ),
        (lambda d: d.update(storage="int8"), r"config.json: .*format_version 1 came with storage 'int8'"),
        (lambda d: d.update(format_version=2, storage="int4"), r"config.json: storage: Input should be 'float32', "),
        (
            lambda d: d.update(format_version=2, storage="int8"),
            r"model.safetensors: encoder.embedding.weight is torch.float32, .* torch.int8 in storage 'int8'",
        ),
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
