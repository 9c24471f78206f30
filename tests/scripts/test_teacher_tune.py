"""Tuning a teacher: it learns, dev chooses, and the folder is what other tools read."""

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from scripts.teacher import main
from scripts.teaching.targets import by_source, only_sources
from simlstm.data.formats import read_pairs
from simlstm.evaluation.metrics import pearson
from tests.scripts.teaching_models import (
    ADJECTIVES,
    NOUNS,
    SYNONYMS,
    graded_file,
    marked_file,
    read_record,
    tiny_transformer,
)

FAST = ["--epochs", 6, "--learning-rate", 5e-3, "--batch-size", 12, "--device", "cpu", "--float32"]


def _teacher(*arguments):
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def base(tmp_path):
    return tiny_transformer(tmp_path / "base")


@pytest.fixture
def files(tmp_path):
    return (
        graded_file(tmp_path / "train.tsv", ADJECTIVES[:4]),
        graded_file(tmp_path / "dev.tsv", ADJECTIVES[4:]),
    )


def _tune(base, train, dev, out, *arguments):
    return _teacher("tune", "--model", base, "--train", train, "--dev", dev, "--out", out, *FAST, *arguments)


def test_an_encoder_learns_and_its_folder_gives_the_recorded_figures(base, files, tmp_path):
    result = _tune(base, *files, tmp_path / "teacher")
    assert result.exit_code == 0, result.output
    record = read_record(tmp_path / "teacher" / "teacher.json")
    measured = [epoch["spearman"][0] for epoch in record["epochs"]]
    assert record["best_epoch"] == int(np.argmax(np.round(measured, 6))) > 0
    assert max(measured) > measured[0] + 0.3

    from sentence_transformers import SentenceTransformer

    dev = read_pairs(files[1])
    model = SentenceTransformer(str(tmp_path / "teacher"), device="cpu", local_files_only=True)
    vectors = [model.encode(side, show_progress_bar=False) for side in (dev.sentences1, dev.sentences2)]
    cosines = np.sum(vectors[0] * vectors[1], axis=1) / np.prod([np.linalg.norm(v, axis=1) for v in vectors], axis=0)
    recorded = record["epochs"][record["best_epoch"]]["pearson"][0]
    assert pearson(cosines, dev.targets) == pytest.approx(recorded, abs=1e-4)  # ranks would turn on the last bits

    assert record["licence"] == "apache-2.0"
    assert (tmp_path / "teacher" / "README.md").read_text().startswith("---\nlicense: apache-2.0\n---\n")
    assert record["train"][0]["sha256"] == read_pairs(files[0]).sha256
    assert record["dev"][0]["sha256"] == dev.sha256


def test_a_cross_encoder_learns_and_its_folder_predicts_probabilities(base, tmp_path):
    files = [marked_file(tmp_path / f"{name}.tsv", nouns) for name, nouns in (("train", NOUNS), ("dev", SYNONYMS))]
    result = _tune(base, *files, tmp_path / "teacher", "--kind", "cross-encoder", "--epochs", 12)
    assert result.exit_code == 0, result.output
    record = read_record(tmp_path / "teacher" / "teacher.json")
    measured = [epoch["spearman"][0] for epoch in record["epochs"]]
    assert max(measured) > max(measured[0], 0) + 0.3

    from sentence_transformers import CrossEncoder

    dev = read_pairs(files[1])
    model = CrossEncoder(str(tmp_path / "teacher"), device="cpu", local_files_only=True)
    scores = model.predict(list(zip(dev.sentences1, dev.sentences2, strict=True)), show_progress_bar=False)
    assert scores.min() >= 0
    assert scores.max() <= 1
    recorded = record["epochs"][record["best_epoch"]]["pearson"][0]
    assert pearson(scores, dev.targets) == pytest.approx(recorded, abs=1e-4)


def test_dev_keeps_the_base_where_training_only_harms(base, files, tmp_path):
    against = graded_file(tmp_path / "against.tsv", ADJECTIVES[:4], turned=True)
    assert _tune(base, files[0], files[0], tmp_path / "good").exit_code == 0
    assert _tune(tmp_path / "good", against, files[0], tmp_path / "kept").exit_code == 0
    record = read_record(tmp_path / "kept" / "teacher.json")
    assert record["best_epoch"] == 0
    assert record["epochs"][-1]["spearman"][0] < record["epochs"][0]["spearman"][0] - 0.3
    assert record["licence"] == "apache-2.0"  # through the card of the first teacher
    from safetensors.torch import load_file

    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("good", "kept"))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("kind", ["encoder", "cross-encoder"])
def test_a_seed_is_a_result(base, files, tmp_path, kind):
    for out, seed in (("one", 1), ("same", 1), ("other", 2)):
        arguments = ["--kind", kind, "--epochs", 2, "--seed", seed]
        assert _tune(base, *files, tmp_path / out, *arguments).exit_code == 0
    weights = [(tmp_path / out / "model.safetensors").read_bytes() for out in ("one", "same", "other")]
    assert weights[0] == weights[1] != weights[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "verbs"], "only: 'verbs' came; the files have: nouns"),
        (["--train", "missing.tsv"], "missing.tsv: no such file"),
        (["--model", "another"], "tune: 2 --model came; allowed: one"),
    ],
)
def test_mistakes_end_with_one_message_and_no_folder(base, files, tmp_path, arguments, message):
    result = _tune(base, *files, tmp_path / "teacher", *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "teacher").exists()


def test_a_folder_without_a_transformer_is_named(files, tmp_path):
    result = _tune("nowhere", *files, tmp_path / "teacher")
    assert result.exit_code == 1
    assert "nowhere: no transformer in this folder" in result.stderr
    assert not (tmp_path / "teacher").exists()


def test_nothing_is_overwritten(base, files, tmp_path):
    (tmp_path / "teacher").mkdir()
    result = _tune(base, *files, tmp_path / "teacher")
    assert result.exit_code == 1
    assert "is there already" in result.stderr
    assert list((tmp_path / "teacher").iterdir()) == []


def test_collections_are_chosen_and_kept_apart(tmp_path):
    path = tmp_path / "mixed.tsv"
    rows = ["0.5\ta\tx\ty", "0.1\tb\tu\tv", "0.7\ta\tp\tq", "0.2\tc\tr\ts"]
    path.write_text("\n".join(["score\tsource\tsentence1\tsentence2", *rows]) + "\n")
    data = [read_pairs(path)]
    assert [pairs.targets for pairs in only_sources(data, ["a", "c"])] == [[0.5, 0.7, 0.2]]
    assert [pairs.targets for pairs in by_source(data)] == [[0.5, 0.7], [0.1], [0.2]]
    positive = tmp_path / "positives.tsv"
    positive.write_text("sentence1\tsentence2\na\tb\n")
    with pytest.raises(ValueError, match="paraphrases without targets came"):
        by_source([read_pairs(positive)])


def test_an_option_of_labelling_is_refused(tmp_path):
    result = _teacher("tune", "--model", "x", "--out", tmp_path / "out", "--input", "x", "--both-orders")
    assert result.exit_code == 1
    assert "tune: --input, --both-orders came, which would have no effect" in result.stderr
