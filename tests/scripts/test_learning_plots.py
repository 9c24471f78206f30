"""Learning curves and the table of ablations: from what runs wrote to the docs."""

import json

import pytest
import typer
from typer.testing import CliRunner

from scripts.benchmark import main
from scripts.benchmarking.ablations import ablation_table, read_ablations
from scripts.benchmarking.learning import read_curves


def _run(*arguments):
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _log(folder, values, metric="spearman"):
    folder.mkdir(parents=True)
    lines = [{"event": "train", "step": 1, "epoch": 0, "loss": 1.0}]
    lines += [
        {"event": "dev", "step": step, "epoch": 0, metric: value, "train_seconds": 10.0 * step}
        for step, value in enumerate(values, start=1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_curves_of_runs_and_of_seeds_are_drawn_and_written(tmp_path):
    _log(tmp_path / "alone", [0.5, 0.7])
    for seed in (10, 2):
        _log(tmp_path / "several" / f"seed-{seed}", [0.1 * seed])
    target = tmp_path / "plots" / "learning.svg"
    result = _run("learning", "--runs", tmp_path / "alone", tmp_path / "several", "--out", target)
    assert result.exit_code == 0, result.output
    points = json.loads(target.with_suffix(".json").read_text())
    assert points["metric"] == "spearman"
    assert [(curve["run"].rpartition("/")[2], curve["seconds"], curve["values"]) for curve in points["curves"]] == [
        ("alone", [10.0, 20.0], [0.5, 0.7]), ("seed-2", [10.0], [0.2]), ("seed-10", [10.0], [1.0]),
    ]  # fmt: skip
    svg = target.read_text()
    assert "dev spearman" in svg
    assert "seconds of training steps" in svg
    assert svg.count(f"{tmp_path.as_posix()}/several<") == 1, "the seeds of a folder have one entry"


def test_the_metric_is_the_runs_own_or_the_one_asked_for(tmp_path):
    _log(tmp_path / "labels", [0.6], metric="roc_auc")
    assert read_curves([tmp_path / "labels"]).metric == "roc_auc"
    with pytest.raises(ValueError, match="has no pearson; its evaluations have event, step, epoch, roc_auc"):
        read_curves([tmp_path / "labels"], metric="pearson")


def test_what_is_no_run_is_named(tmp_path):
    result = _run("learning", tmp_path)
    assert result.exit_code == 1
    assert "no metrics.jsonl in it or in its folders seed-N" in result.stderr
    assert "none came" in _run("learning").stderr


ABLATIONS = {
    "data": "STS-B dev",
    "metric": "spearman",
    "base": {"lever": "all of it", "values": [0.88, 0.90], "wall_seconds": [600, 720], "command": "simlstm …"},
    "rows": [
        {"lever": "without averaging", "change": "training.ema_decay=0", "values": [0.87]},
        {"lever": "with pairs swapped", "summary": "SUMMARY"},
    ],
}


@pytest.fixture
def file(tmp_path):
    summary = tmp_path / "summary.json"
    summary.write_text(
        json.dumps(
            {
                "command": "simlstm train --seeds 0,1",
                "metrics": {"spearman": {"mean": 0.9, "sd": 0.014, "values": [0.89, 0.91]}},
                "wall_seconds": {"mean": 60, "sd": 0, "values": [60, 60]},
            }
        )
    )
    file = tmp_path / "levers.json"
    file.write_text(json.dumps(ABLATIONS).replace("SUMMARY", str(summary)))
    return file


def test_the_table(file):
    assert ablation_table(read_ablations(file)).splitlines() == [
        "| Lever | Change | STS-B dev, spearman | Against the first row | Minutes a seed |",
        "| --- | --- | --- | --- | --- |",
        "| all of it |  | 0.8900 ± 0.0141 |  | 11.0 |",
        "| without averaging | `training.ema_decay=0` | 0.8700 | −0.0200 | – |",
        "| with pairs swapped |  | 0.9000 ± 0.0141 | +0.0100 | 1.0 |",
        "",
        "1 or 2 seeds, mean ± sd.",
    ]


def test_the_section_of_the_page_is_filled_and_the_file_keeps_what_it_read(file, tmp_path):
    page = tmp_path / "train.md"
    page.write_text("above\n<!-- begin levers -->\nold\n<!-- end levers -->\n<!-- begin x -->\n<!-- end x -->\n")
    result = _run("ablations", "--results", file, "--page", page)
    assert result.exit_code == 0, result.output
    text = page.read_text()
    assert text.startswith("above\n<!-- begin levers -->\n\n| Lever |")
    assert text.endswith("<!-- end levers -->\n<!-- begin x -->\n<!-- end x -->\n")
    assert "old" not in text
    (tmp_path / "summary.json").unlink()
    assert _run("ablations", "--results", file, "--page", page).exit_code == 0
    assert page.read_text() == text


def test_mistakes_of_ablations(file, tmp_path):
    page = tmp_path / "train.md"
    page.write_text("nothing")
    assert "no section <!-- begin levers -->" in _run("ablations", "--results", file, "--page", page).stderr
    assert page.read_text() == "nothing"
    file.write_text(json.dumps({**ABLATIONS, "rows": [{"lever": "x"}]}))
    assert "x: give values, or summary" in _run("ablations", "--results", file, "--page", page).stderr
    for content in ("[1]", "no JSON", '{"steps": []}'):
        (tmp_path / "other.json").write_text(content)
        rows = [{"lever": "x", "summary": str(tmp_path / "other.json")}]
        file.write_text(json.dumps({**ABLATIONS, "rows": rows}))
        message = _run("ablations", "--results", file, "--page", page).stderr
        assert "other.json: no summary.json of simlstm train --seeds: " in message


def test_a_torn_last_line_is_passed_over_and_another_is_named(tmp_path):
    _log(tmp_path / "run", [0.5, 0.7])
    log = tmp_path / "run" / "metrics.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"event": "dev", "spearman": 0.9, "note": "\xe8\x8b')
    assert read_curves([tmp_path / "run"]).curves[0].values == [0.5, 0.7]
    log.write_bytes(whole[:-1])
    assert read_curves([tmp_path / "run"]).curves[0].values == [0.5, 0.7], "only its line break is missing"
    log.write_bytes(whole.replace(b'"loss": 1.0}', b'"lo'))
    with pytest.raises(ValueError, match=r"metrics.jsonl:1: b'.*' came; allowed: a JSON object with an event"):
        read_curves([tmp_path / "run"])
