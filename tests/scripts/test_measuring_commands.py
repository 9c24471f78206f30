"""The commands that evaluate a checkpoint and score a file."""

import json
import shutil

import pytest
import torch
import typer
from typer.testing import CliRunner

from scripts.evaluate import main as evaluate
from scripts.score import main as score
from simlstm.data.formats import read_pairs
from simlstm.data.layouts import Columns
from simlstm.evaluation.evaluate import calibrate_model, evaluate_model
from simlstm.models import shipped
from simlstm.models.config import ModelConfig
from simlstm.models.siamese import SiameseModel
from simlstm.models.similarity import SimilarityModel
from simlstm.rnn.frozen import frozen_backend
from simlstm.text.tokenizer import Tokenizer

WORDS = [("red", "cat", "blue"), ("one", "dog", "one"), ("tea", "is", "hot"), ("x", "y", "z")]
GRADED = "sentence1,sentence2,score\n" + "".join(
    f"{a} {b},{c} {b},{i % 6}.0\n"
    for i, (a, b, c) in enumerate(
        [("red", "cat", "blue"), ("one", "dog", "one"), ("tea", "is", "hot"), ("x", "y", "z")] * 4
    )
)


def _run(main, *arguments):
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "120"})


@pytest.fixture
def files(tmp_path):
    """A graded file, a labelled one, and a checkpoint with a calibration fitted on the labelled one."""
    graded, labels = tmp_path / "graded.csv", tmp_path / "dev.tsv"
    graded.write_text(GRADED)
    rows = [line.split(",") for line in GRADED.splitlines()[1:]]
    labels.write_text("".join(f"{a}\t{b}\t{int(float(s) >= 3)}\n" for a, b, s in rows))
    tokenizer = Tokenizer.train([GRADED])
    torch.manual_seed(0)
    config = ModelConfig(vocabulary_size=tokenizer.vocabulary_size, embedding_size=6, hidden_size=5, kind="binary",
                         max_tokens=2)  # fmt: skip
    model = SimilarityModel(SiameseModel.from_config(config).eval(), tokenizer, config=config)
    model.calibration = calibrate_model(model, read_pairs(labels, format="bq"))
    model.save_pretrained(tmp_path / "model")
    return graded, labels, tmp_path / "model"


def test_evaluate_prints_a_table_and_writes_the_same_as_json(files, tmp_path):
    _, labels, folder = files
    result = _run(evaluate, "--model", folder, "--data", labels, "--format", "bq", "--json", tmp_path / "out.json",
                  "--train", labels, "--device", "cpu", "--threads", 1)  # fmt: skip
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out.json").read_text())
    model = SimilarityModel.from_pretrained(folder)
    pairs = read_pairs(labels, format="bq")
    assert report["metrics"] == pytest.approx(evaluate_model(model, pairs))
    assert report["model"] == {"name": "model", "fingerprint": model.fingerprint, "threshold": model.threshold}
    assert report["data"]["sha256"] == pairs.sha256
    assert report["train_overlap"] == {"sentences": 7, "all_sentences": 7, "pairs": 16, "all_pairs": 16}
    for name, value in report["metrics"].items():
        assert f"{name}" in result.stdout
        assert f"{value:.4f}" in result.stdout
    assert "also in training: 7 of 7 sentences, 16 of 16 pairs" in result.stdout
    assert "fitted on these very data: accuracy and F1 are optimistic" in result.stdout


def test_the_folders_of_the_report_are_made(files, tmp_path):
    _, labels, folder = files
    arguments = ("--model", folder, "--data", labels, "--format", "bq", "--device", "cpu", "--json")
    result = _run(evaluate, *arguments, tmp_path / "a" / "b" / "out.json")
    assert result.exit_code == 0, result.output
    assert "metrics" in json.loads((tmp_path / "a" / "b" / "out.json").read_text())
    result = _run(evaluate, *arguments, labels / "out.json")
    assert result.exit_code == 1
    assert result.stderr.startswith("evaluate: ")
    assert "prevalence" not in result.stdout, "refused before anything is computed"


@pytest.mark.parametrize("header", [True, False])
def test_evaluate_reads_columns_and_scores_of_the_files_own(files, tmp_path, header):
    scores = [1, 7, 4, 2.5, 6]
    own = tmp_path / "own.csv"
    rows = "".join(f"{score},red cat,{second}\n" for score, second in zip(scores, "abcde", strict=True))
    own.write_text(("sim,q1,q2\n" if header else "") + rows)
    names = ("q1", "q2", "sim") if header else (1, 2, 0)
    columns = [word for pair in zip(("--sentence1", "--sentence2", "--target"), names, strict=True) for word in pair]
    fixed = ("--model", files[2], "--data", own, "--device", "cpu", "--json", tmp_path / "out.json")
    result = _run(evaluate, *fixed, *columns, "--score-range", 1, 7, "--train", own)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out.json").read_text())
    pairs = read_pairs(own, columns=Columns(*names), score_range=(1, 7))
    assert report["data"]["kind"] == "graded"
    assert report["metrics"] == pytest.approx(evaluate_model(SimilarityModel.from_pretrained(files[2]), pairs))
    assert report["train_overlap"]["pairs"] == 5
    result = _run(evaluate, *fixed, *columns[:4], "--score-range", 1, 7)
    assert result.exit_code == 1
    assert "--target did not come" in result.stderr
    result = _run(evaluate, *fixed, *columns, "--score-range", 7, 1)
    assert result.exit_code == 1
    assert "score_range: (7.0, 1.0) came" in result.stderr


def test_low_precision_is_an_option_and_is_close(files, tmp_path):
    _, labels, folder = files
    for dtype in ("float32", "bfloat16", "int8"):
        result = _run(evaluate, "--model", folder, "--data", labels, "--dtype", dtype, "--json", tmp_path / dtype,
                      "--format", "bq", "--device", "cpu")  # fmt: skip
        assert result.exit_code == 0, result.output
    reports = {name: json.loads((tmp_path / name).read_text()) for name in ("float32", "bfloat16", "int8")}
    model, pairs = SimilarityModel.from_pretrained(folder, device="cpu"), read_pairs(labels, format="bq")
    for name, report in reports.items():
        assert (report["dtype"], report["backend"]) == (name, frozen_backend())
        assert report["metrics"] == pytest.approx(evaluate_model(model.freeze(name), pairs))


@pytest.mark.parametrize(
    ("replacement", "message"),
    [
        ({"--model": "nowhere"}, "nowhere: there is no such folder"),
        ({"--data": "none.csv"}, "none.csv: no such file"),
        ({"--device": "cuda:99"}, "device: got 'cuda:99'"),
    ],
)
def test_evaluate_names_what_is_missing(files, replacement, message):
    _, labels, folder = files
    arguments = {"--model": folder, "--data": labels} | replacement
    result = _run(evaluate, *(word for pair in arguments.items() for word in pair))
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_a_shipped_checkpoint_goes_by_its_name(files, tmp_path, monkeypatch):
    graded, labels, folder = files
    shutil.copytree(folder, tmp_path / "package" / "en")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "package")
    monkeypatch.setattr(shipped, "SHIPPED", ("en",))
    monkeypatch.chdir(tmp_path)
    result = _run(evaluate, "--model", "en", "--data", labels, "--format", "bq", "--json", "out.json")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "out.json").read_text())["model"]["name"] == "en"
    result = _run(score, "--model", "en", "--input", graded, "--output", "out.csv", "--prefix", "model_")
    assert result.exit_code == 0, result.output
    result = _run(score, "--model", "fr", "--input", graded, "--output", "no.csv", "--prefix", "model_")
    assert result.exit_code == 1
    assert "fr: there is no such folder, and no shipped checkpoint of that name (shipped: en)" in result.stderr


def test_score_adds_its_columns(files, tmp_path):
    graded, _, folder = files
    out = tmp_path / "out.csv"
    result = _run(score, "--model", folder, "--input", graded, "--output", out, "--prefix", "model_", "--threads", 1)
    assert result.exit_code == 0, result.output
    assert result.stdout.replace("\n", "") == f"{out}: 16 pairs scored"
    header, first, *rest = out.read_text().splitlines()
    assert header == "sentence1,sentence2,score,model_score,model_probability,model_is_match,model_truncated"
    assert first.startswith("red cat,blue cat,0.0,0.")
    assert len(rest) == 15


def test_score_computes_in_the_dtype_asked_for(files, tmp_path):
    scores = {}
    for dtype in ("float32", "int8"):
        out = tmp_path / f"{dtype}.jsonl"
        result = _run(score, "--model", files[2], "--input", files[0], "--output", out, "--prefix", "model_",
                      "--device", "cpu", "--dtype", dtype)  # fmt: skip
        assert result.exit_code == 0, result.output
        scores[dtype] = [json.loads(line)["model_score"] for line in out.read_text().splitlines()]
    assert scores["int8"] != scores["float32"]
    assert scores["int8"] == pytest.approx(scores["float32"], abs=0.01)  # a hundredth of the range: int8 has 127 steps
    result = _run(score, "--model", files[2], "--input", files[0], "--output", out, "--dtype", "int4")
    assert result.exit_code == 2
    assert "'int4' is not one of 'float32', 'bfloat16', 'int8'" in " ".join(result.stderr.split())


def test_score_says_how_many_were_cut(files, tmp_path):
    source = tmp_path / "long.csv"
    source.write_text("sentence1,sentence2\nred cat dog,tea\nx,y\n")
    result = _run(score, "--model", files[2], "--input", source, "--output", tmp_path / "out.jsonl")
    assert "2 pairs scored, 1 with a sentence cut at 2 tokens" in result.stdout
    assert [json.loads(line)["truncated"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [
        True,
        False,
    ]


def test_score_names_a_bad_row_and_writes_nothing(files, tmp_path):
    source = tmp_path / "bad.csv"
    source.write_text("sentence1,sentence2\na,b\nc\n")
    result = _run(score, "--model", files[2], "--input", source, "--output", tmp_path / "out.csv")
    assert result.exit_code == 1
    assert "bad.csv:3: 1 cells; the header has 2" in result.stderr
    assert not (tmp_path / "out.csv").exists()
