"""Shipped checkpoints: what a name means, and that those in the package are sound."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from simlstm import SimilarityModel
from simlstm.models import shipped
from simlstm.models.checkpoint import CheckpointError, read_checkpoint
from simlstm.models.folder import CARD, CONFIG, NAMES
from simlstm.models.shipped import checkpoint_folder

Build = Callable[..., SimilarityModel]
SIZE_LIMIT = 16_000_000


@pytest.fixture
def package(make_model: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ship a tiny "en" of seed 0, and stand in an empty working directory."""
    make_model(seed=0).save_pretrained(tmp_path / "package" / "en", storage="int8")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "package")
    monkeypatch.setattr(shipped, "SHIPPED", ("en",))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "package"


def test_a_name_is_a_shipped_checkpoint(package: Path) -> None:
    assert checkpoint_folder("en") == package / "en"
    model = SimilarityModel.from_pretrained("en", device="cpu")
    assert (model.name, model.metrics["seed"]) == ("en", 0)


def test_a_checkpoint_of_that_name_goes_first(package: Path, make_model: Build) -> None:
    make_model(seed=1).save_pretrained("en")
    assert SimilarityModel.from_pretrained("en", device="cpu").metrics["seed"] == 1
    (Path("en") / ".checkpoint-whole").mkdir()
    Path("en/config.json").rename("en/.checkpoint-whole/config.json")
    assert SimilarityModel.from_pretrained("en", device="cpu").metrics["seed"] == 1, "a rewrite was interrupted"


def test_a_folder_without_a_checkpoint_hides_nothing(package: Path) -> None:
    Path("en").mkdir()
    (Path("en") / "notes.txt").write_text("mine")
    assert SimilarityModel.from_pretrained("en", device="cpu").metrics["seed"] == 0


@pytest.mark.parametrize("folder", ["./en", "en/", Path("en"), "../here/en"])
def test_a_separator_or_a_path_means_a_folder(package: Path, make_model: Build, folder: str | Path) -> None:
    with pytest.raises(CheckpointError, match=r"en: there is no such folder; a model is the folder of a checkpoint"):
        SimilarityModel.from_pretrained(folder)
    make_model(seed=1).save_pretrained("en")
    assert SimilarityModel.from_pretrained(folder, device="cpu").metrics["seed"] == 1


def test_an_unknown_name_lists_the_shipped_ones(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "SHIPPED", ("en", "zh"))
    with pytest.raises(
        CheckpointError,
        match=r"^fr: there is no such folder, and no shipped checkpoint of that name \(shipped: en, zh\); a model is",
    ):
        SimilarityModel.from_pretrained("fr")
    (Path("fr")).mkdir()
    with pytest.raises(CheckpointError, match=r"fr/config.json: missing"):
        SimilarityModel.from_pretrained("fr")


def test_damage_is_refused_by_name(package: Path) -> None:
    (package / "en" / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"en/tokenizer.json: missing"):
        SimilarityModel.from_pretrained("en")


def test_every_folder_of_the_package_is_named_and_every_name_has_a_folder() -> None:
    """No skip: a name without its folder is a package that was built without its data."""
    assert sorted(shipped.SHIPPED) == sorted(folder.name for folder in shipped.FOLDER.iterdir() if folder.is_dir())


@pytest.mark.parametrize("name", shipped.SHIPPED)
def test_a_shipped_checkpoint_is_sound(name: str, tmp_path: Path) -> None:
    folder = shipped.FOLDER / name
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= SIZE_LIMIT
    assert {path.name for path in files} == set(NAMES), "nothing but the checkpoint, and a calibration with it"
    checkpoint = read_checkpoint(folder)
    model = SimilarityModel.from_pretrained(name, device="cpu")
    assert model.name == name
    assert model.calibration is not None
    model.save_pretrained(tmp_path / name, storage=checkpoint.storage)
    for file in set(NAMES) - {CONFIG, CARD}:  # these two change with the software: versions, settings that are new
        assert (tmp_path / name / file).read_bytes() == (folder / file).read_bytes(), file


@pytest.mark.parametrize("name", shipped.SHIPPED)
def test_a_shipped_card_is_complete(name: str) -> None:
    _, front, text = (shipped.FOLDER / name / "README.md").read_text().split("---\n", 2)
    metadata = yaml.safe_load(front)
    assert {"language", "license", "datasets", "tags", "library_name", "pipeline_tag"} <= metadata.keys()
    _, data, _ = re.split(r"\n## (?:Data|Training)\n", text)
    assert re.search(r"non-?commercial|\bNC\b", data, re.I) is None, "licences that forbid to ship what was learned"
    for section in ("Use", "Data", "Measured", "Limits", "Training", "What the numbers mean"):
        assert f"\n## {section}\n" in text
    assert "/work/" not in text + (shipped.FOLDER / name / "config.json").read_text()


SENSIBLE = {
    "en": [
        ("A man is playing a guitar.", "Someone plays the guitar.", "The stock market fell sharply today."),
        ("How do I reset my password?", "I forgot my password, how can I change it?", "Where can I buy fresh fish?"),
    ],
    "zh": [
        ("一个男人在弹吉他。", "有人在弹吉他。", "今天股市大跌。"),
        ("怎么重置我的密码?", "如何重设我的密码?", "哪里可以买到新鲜的鱼?"),
    ],
}


@pytest.mark.parametrize("name", shipped.SHIPPED)
def test_a_shipped_checkpoint_answers_sensibly(name: str) -> None:
    model = SimilarityModel.from_pretrained(name, device="cpu")
    for sentence, near, far in SENSIBLE[name]:
        probabilities = model.probability([sentence, sentence], [near, far])
        assert probabilities[0] > 0.5 > probabilities[1], (sentence, probabilities)
        vectors = model.encode([sentence, near, far])
        cosines = model.similarity(vectors[0], vectors[1:])[0]
        assert cosines[0] > cosines[1] + 0.2, (sentence, cosines)
