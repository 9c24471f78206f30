"""The command that makes a checkpoint small: what it measures is what is on disk, and the card says it."""

import json

import pytest
import torch
import typer
import yaml
from typer.testing import CliRunner

from scripts.pack import main as pack
from simlstm.data.formats import read_pairs
from simlstm.evaluation.evaluate import calibrate_model, calibration_error, evaluate_model, score_pairs
from simlstm.evaluation.reliability import expected_calibration_error
from simlstm.models.checkpoint import read_checkpoint
from simlstm.models.config import ModelConfig
from simlstm.models.folder import NAMES
from simlstm.models.siamese import SiameseModel
from simlstm.models.similarity import SimilarityModel
from simlstm.text.tokenizer import Tokenizer

CARD = """
summary = "Everyday sentences."
language = ["en"]
license = "apache-2.0"
command = "simlstm recipe configs/recipes/en.toml"
limits = ["Negation is seen only in part.", "Numbers are | words."]
tags = ["baseline"]
teachers = ["somebody/encoder"]

[[data]]
name = "STS benchmark"
dataset = "stsb"
use = "graded pairs"
license = "CC BY-SA 4.0"
source = "https://example.org/stsb"

[[data]]
name = "A text corpus"
use = "distillation"
license = "public domain"
"""


def run(*arguments):
    app = typer.Typer()
    app.command()(pack)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "160"})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A checkpoint whose weights are large enough to be rounded, calibrated on a part of the demo corpus."""
    folder = tmp_path_factory.mktemp("pack") / "run"
    dev = read_pairs("demo:en:dev")
    tokenizer = Tokenizer.train([*dev.sentences1, *dev.sentences2])
    torch.manual_seed(0)
    config = ModelConfig(vocabulary_size=tokenizer.vocabulary_size, embedding_size=32, hidden_size=32)
    model = SimilarityModel(SiameseModel.from_config(config).eval(), tokenizer, config=config)
    model.calibration = calibrate_model(model, dev)
    model.metrics = {"dev": {"spearman": 0.99}}
    model.provenance = {"command": "simlstm train"}
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def card(tmp_path):
    (tmp_path / "card.toml").write_text(CARD)
    return tmp_path / "card.toml"


@pytest.mark.parametrize("storage", ["float32", "bfloat16", "int8", "int8-all"])
def test_what_is_measured_is_what_is_on_disk(trained, tmp_path, storage):
    labels = tmp_path / "labels.tsv"
    labels.write_text("a man plays\ta man sings\t1\na dog runs\ta cat sleeps\t0\n" * 4)
    result = run("--model", trained, "--out", tmp_path / "out", "--storage", storage, "--threads", 1,
                 "--measure", "demo=demo:en:test", "--measure", f"own labels={labels}:bq")  # fmt: skip
    assert result.exit_code == 0, result.output
    packed = SimilarityModel.from_pretrained(tmp_path / "out", device="cpu")
    assert read_checkpoint(tmp_path / "out").storage == storage
    assert packed.metrics.keys() == {"demo", "own labels"}
    demo = read_pairs("demo:en:test")
    expected = evaluate_model(packed, demo)
    measured = packed.metrics["demo"]
    assert {key: measured[key] for key in expected} == expected, "to the last digit: these weights, no others"
    came = [target >= packed.calibration.positive_from for target in demo.scaled_targets()]
    promised = packed.probability_of(score_pairs(packed, demo)[0])
    assert measured["expected_calibration_error"] == expected_calibration_error(promised, came)
    assert measured["pairs"] == len(demo)
    assert {"accuracy", "roc_auc", "cosine_roc_auc"} <= packed.metrics["own labels"].keys()
    before = SimilarityModel.from_pretrained(trained, device="cpu")
    provenance = packed.provenance["packed"]
    assert provenance["from"] == before.fingerprint
    assert (packed.fingerprint == before.fingerprint) == (storage == "float32")
    assert provenance["metrics_before"] == {"dev": {"spearman": 0.99}}
    assert packed.provenance["command"] == "simlstm train"
    assert provenance["measured_on"]["own labels"]["sha256"] == read_pairs(labels, format="bq").sha256
    assert packed.calibration == before.calibration
    assert packed.fingerprint in result.stdout
    assert f"{expected['cosine_spearman']:.4f}" in result.stdout


def test_no_calibration_error_is_measured_on_what_was_fitted(trained, tmp_path):
    assert run("--model", trained, "--out", tmp_path / "out", "--measure", "dev=demo:en:dev").exit_code == 0
    packed, dev = SimilarityModel.from_pretrained(tmp_path / "out", device="cpu"), read_pairs("demo:en:dev")
    assert "expected_calibration_error" not in packed.metrics["dev"]
    expected = calibration_error(packed, dev)
    assert packed.metrics["dev"]["expected_calibration_error_cross_fitted"] == expected["equal_width"]


def test_labels_that_gave_the_threshold_are_decided_about_by_other_folds(trained, tmp_path):
    dev = read_pairs("demo:en:dev")
    labels = tmp_path / "labels.tsv"
    labels.write_text("".join(
        f"{a}\t{b}\t{int(target >= 0.5)}\n"
        for a, b, target in zip(dev.sentences1, dev.sentences2, dev.scaled_targets(), strict=True)
    ), encoding="utf-8")  # fmt: skip
    data = read_pairs(labels, format="bq")
    model = SimilarityModel.from_pretrained(trained, device="cpu")
    model.calibration = calibrate_model(model, data, threshold_metric="f1")
    model.save_pretrained(tmp_path / "fitted")
    assert (
        run("--model", tmp_path / "fitted", "--out", tmp_path / "out", "--measure", f"own={labels}:bq").exit_code == 0
    )
    packed = SimilarityModel.from_pretrained(tmp_path / "out", device="cpu")
    expected = calibration_error(packed, data, threshold_metric="f1")
    measured = packed.metrics["own"]
    assert (measured["cross_fitted_accuracy"], measured["cross_fitted_f1"]) == (expected["accuracy"], expected["f1"])
    assert expected["f1"] != calibration_error(packed, data)["f1"], "the metric of the threshold matters here"


def test_the_card_says_what_no_checkpoint_knows(trained, card, tmp_path):
    result = run("--model", trained, "--out", tmp_path / "en", "--card", card, "--measure", "STS-B dev=demo:en:test")
    assert result.exit_code == 0, result.output
    _, front, text = (tmp_path / "en" / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front) == {
        "language": ["en"],
        "license": "apache-2.0",
        "datasets": ["stsb", "A text corpus"],
        "base_model": ["somebody/encoder"],
        "library_name": "simlstm",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-similarity", "siamese", "lstm", "mlp", "baseline"],
    }
    assert "# en\n" in text
    assert 'SimilarityModel.from_pretrained("en")' in text
    assert "Everyday sentences." in text
    assert "| STS benchmark | graded pairs | CC BY-SA 4.0 | https://example.org/stsb |" in text
    assert "| A text corpus | distillation | public domain | – |" in text
    assert "simlstm recipe configs/recipes/en.toml" in text
    assert "- Negation is seen only in part." in text
    measured = SimilarityModel.from_pretrained(tmp_path / "en").metrics["STS-B dev"]
    assert f"| STS-B dev.cosine_spearman | {measured['cosine_spearman']:.4g} |" in text
    assert "expected_calibration_error" in text
    assert "card.limits" not in text, "once is enough"


def test_a_card_survives_a_round_trip_whatever_the_folder_is_called(trained, card, tmp_path):
    assert run("--model", trained, "--out", tmp_path / "a", "--card", card, "--name", "mine").exit_code == 0
    SimilarityModel.from_pretrained(tmp_path / "a", device="cpu").save_pretrained(tmp_path / "b", storage="int8")
    for name in NAMES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert "# mine\n" in (tmp_path / "b" / "README.md").read_text()
    assert run("--model", tmp_path / "a", "--out", tmp_path / "c", "--card", card).exit_code == 0, "packed again"
    fingerprints = {SimilarityModel.from_pretrained(tmp_path / name).fingerprint for name in "abc"}
    assert len(fingerprints) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--model", "nowhere"), "nowhere: there is no such folder, and no shipped checkpoint of that name"),
        (("--measure", "demo:en:test"), "--measure: 'demo:en:test' came; allowed: NAME=FILE or NAME=FILE:FORMAT"),
        (("--measure", "x=none.csv"), "none.csv: no such file"),
        (("--card", "none.toml"), "none.toml"),
        (("--measure", "x=demo:en:dev --measure x=demo:en:test"), "the name 'x' came twice"),
        (("--name", "other"), "--name 'other' came without --card"),
    ],
)
def test_mistakes_have_a_sentence_and_write_nothing(trained, tmp_path, change, message):
    arguments = {"--model": trained, "--out": tmp_path / "out"} | {change[0]: change[1]}
    result = run(*(word for option, value in arguments.items() for word in f"{option} {value}".split(" ")))
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CARD.replace('license = "apache-2.0"\n', "", 1), "license: Field required"),
        (CARD.replace('license = "public domain"\n', "", 1), "data.1.license: Field required"),
        (CARD + 'licence = "x"\n', "data.1.licence: Extra inputs are not permitted"),
        ("summary = ", "card.toml: Invalid value"),
    ],
)
def test_a_card_that_lacks_something(trained, card, tmp_path, text, message):
    card.write_text(text)
    result = run("--model", trained, "--out", tmp_path / "out", "--card", card)
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_facts_that_somebody_spoiled_are_refused_on_writing(trained, card, tmp_path):
    assert run("--model", trained, "--out", tmp_path / "a", "--card", card).exit_code == 0
    model = SimilarityModel.from_pretrained(tmp_path / "a")
    model.provenance["card"] = json.loads(json.dumps(model.provenance["card"]))
    del model.provenance["card"]["license"]
    with pytest.raises(ValueError, match=r'provenance\["card"\]: .*README.md: license: Field required; allowed: the f'):
        model.save_pretrained(tmp_path / "b")
    model.provenance["card"] = "a note of somebody's own"
    with pytest.raises(ValueError, match=r'provenance\["card"\]: .*dictionary.*; allowed: the fields of CardFacts'):
        model.save_pretrained(tmp_path / "b")
    assert not (tmp_path / "b").exists()
