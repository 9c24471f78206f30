"""Labels of a model: its own scores, in order, whatever interrupts, and in the range that is asked for."""

import numpy as np
import pytest
import torch
import typer
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from typer.testing import CliRunner

from scripts.teacher import main
from scripts.teaching import labelling
from scripts.teaching.judges import open_judge
from scripts.teaching.labelling import label_pairs, partial_file, write_labels
from scripts.teaching.ranges import match_range
from simlstm.data.formats import read_pairs
from simlstm.models.similarity import SimilarityModel
from tests.scripts.teaching_models import ADJECTIVES, graded_file, read_record, tiny_checkpoint, tiny_transformer


def _label(model, source, out, *arguments):
    app = typer.Typer()
    app.command()(main)
    command = ["label", "--model", model, "--input", source, "--out", out, "--device", "cpu", *arguments]
    return CliRunner().invoke(app, [str(argument) for argument in command])


@pytest.fixture
def source(tmp_path):
    return graded_file(tmp_path / "pairs.tsv", ADJECTIVES[:3])


def test_a_checkpoints_labels_are_its_scores_as_graded_pairs(source, tmp_path):
    checkpoint = tiny_checkpoint(tmp_path / "checkpoint")
    result = _label(checkpoint, source, tmp_path / "silver.tsv", "--name", "silver")
    assert result.exit_code == 0, result.output
    pairs, silver = read_pairs(source), read_pairs(tmp_path / "silver.tsv", format="graded")
    assert (silver.sentences1, silver.sentences2) == (pairs.sentences1, pairs.sentences2)
    assert set(silver.sources) == {"silver"}
    expected = SimilarityModel.from_pretrained(checkpoint).score(pairs.sentences1, pairs.sentences2)
    np.testing.assert_allclose(silver.targets, expected.clip(0, 1), atol=1e-5)
    record = read_record(tmp_path / "silver.tsv.json")
    assert [judge["kind"] for judge in record["judges"]] == ["checkpoint"]
    assert record["data"][0]["sha256"] == pairs.sha256
    assert not partial_file(tmp_path / "silver.tsv", 0).exists()


def test_an_encoders_labels_are_cosines_and_a_cross_encoders_probabilities(source, tmp_path):
    base = tiny_transformer(tmp_path / "base")
    assert _label(base, source, tmp_path / "encoder.tsv", "--float32").exit_code == 0
    from sentence_transformers import CrossEncoder, SentenceTransformer

    pairs = read_pairs(source)
    model = SentenceTransformer(str(base), device="cpu", local_files_only=True)
    sides = [model.encode(side, convert_to_tensor=True, show_progress_bar=False)
             for side in (pairs.sentences1, pairs.sentences2)]  # fmt: skip
    cosines = torch.cosine_similarity(*sides).clamp(0, 1)
    np.testing.assert_allclose(read_pairs(tmp_path / "encoder.tsv").targets, cosines, atol=1e-5)

    tuned = tmp_path / "cross"
    torch.manual_seed(3)
    cross = CrossEncoder(str(base), num_labels=1, device="cpu", local_files_only=True)
    cross.save_pretrained(str(tuned), create_model_card=False)
    assert _label(tuned, source, tmp_path / "once.tsv", "--float32").exit_code == 0
    assert _label(tuned, source, tmp_path / "twice.tsv", "--float32", "--both-orders").exit_code == 0
    orders = [list(zip(a, b, strict=True)) for a, b in (
        (pairs.sentences1, pairs.sentences2), (pairs.sentences2, pairs.sentences1))]  # fmt: skip
    first, second = (cross.predict(order, show_progress_bar=False) for order in orders)
    np.testing.assert_allclose(read_pairs(tmp_path / "once.tsv").targets, first, atol=1e-5)
    np.testing.assert_allclose(read_pairs(tmp_path / "twice.tsv").targets, (first + second) / 2, atol=1e-5)


def test_an_interrupted_labelling_goes_on_with_whole_chunks(source, tmp_path):
    pairs = read_pairs(source)
    calls = []

    def score(first, second):
        calls.append(len(first))
        return torch.tensor([len(a) / 100 + len(b) / 10_000 for a, b in zip(first, second, strict=True)])

    def dies(first, second):
        if len(calls) == 2:
            raise KeyboardInterrupt
        return score(first, second)

    out, arguments = partial_file(tmp_path / "silver.tsv", 0), {"identity": {"model": 1}, "chunk_size": 8}
    whole = label_pairs(score, pairs, tmp_path / "other.tsv", **arguments)
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        label_pairs(dies, pairs, out, **arguments)
    with out.open("a") as file:
        file.write("0.25\n0.1")  # a chunk that was cut short, and a line
    calls.clear()
    advanced = []
    resumed = label_pairs(score, pairs, out, **arguments, advance=advanced.append)
    assert sum(calls) == len(pairs) - 16
    assert sum(advanced) == len(pairs)
    np.testing.assert_array_equal(resumed, whole)
    assert out.read_bytes() == (tmp_path / "other.tsv").read_bytes()
    calls.clear()
    np.testing.assert_array_equal(label_pairs(score, pairs, out, **arguments), whole)
    assert calls == []
    with pytest.raises(ValueError, match="belongs to another labelling"):
        label_pairs(score, pairs, out, identity={"model": 2}, chunk_size=8)


def test_nothing_is_overwritten(source, tmp_path):
    out = tmp_path / "silver.tsv"
    out.write_text("mine")
    result = _label(tiny_checkpoint(tmp_path / "checkpoint"), source, out)
    assert result.exit_code == 1
    assert "is there already" in result.stderr
    assert out.read_text() == "mine"
    pairs = read_pairs(source)
    with pytest.raises(ValueError, match="is there already"):
        write_labels(pairs, np.zeros(len(pairs)), out, source=None, record={})


@pytest.mark.parametrize("option", ["--like", "--calibrate"])
def test_a_range_is_taken_from_gold_scores_and_keeps_the_order(source, tmp_path, option):
    checkpoint = tiny_checkpoint(tmp_path / "checkpoint")
    gold = graded_file(tmp_path / "gold.tsv", ADJECTIVES[3:])
    assert _label(checkpoint, source, tmp_path / "plain.tsv").exit_code == 0
    result = _label(checkpoint, source, tmp_path / "matched.tsv", option, gold)
    assert result.exit_code == 0, result.output
    plain, matched = (np.array(read_pairs(tmp_path / name).targets) for name in ("plain.tsv", "matched.tsv"))
    order = np.argsort(plain, kind="stable")
    assert (np.diff(matched[order]) >= 0).all()
    assert not np.array_equal(plain, matched)
    if option == "--like":
        assert matched.min() == pytest.approx(0.1)
        assert matched.max() == pytest.approx(0.9)
    named = read_record(tmp_path / "matched.tsv.json")["range"][option.removeprefix("--")]
    assert named["sha256"] == read_pairs(gold).sha256


@pytest.mark.parametrize("option", ["--calibrate", "--like"])
def test_labels_of_several_judges_are_the_mean_on_the_scale_of_gold(source, tmp_path, option):
    models = [tiny_checkpoint(tmp_path / "checkpoint"), tiny_transformer(tmp_path / "encoder")]
    gold = graded_file(tmp_path / "gold.tsv", ADJECTIVES[3:])
    together = tmp_path / "together.tsv"
    for out, judges in ((tmp_path / "0.tsv", models[:1]), (tmp_path / "1.tsv", models[1:]), (together, models)):
        others = [argument for model in judges[1:] for argument in ("--model", model)]
        result = _label(judges[0], source, out, option, gold, *others)
        assert result.exit_code == 0, result.output
    first, second, mean = (np.array(read_pairs(tmp_path / f"{name}.tsv").targets) for name in ("0", "1", "together"))
    assert not np.allclose(first, second)
    assert spearmanr(mean, first + second).statistic > 0.995  # but for sums that differ behind the sixth digit alone
    if option == "--like":  # the mean is narrower than its parts, and the labels are not
        assert (mean.min(), mean.max()) == pytest.approx((first.min(), first.max()), abs=1e-5)
    described = read_record(tmp_path / "together.tsv.json")["judges"]
    assert [judge["kind"] for judge in described] == ["checkpoint", "encoder"]
    assert not list(tmp_path.glob("*.partial*"))


def test_several_judges_need_one_scale_and_tuning_takes_one_model(source, tmp_path):
    checkpoint = tiny_checkpoint(tmp_path / "checkpoint")
    other = tiny_checkpoint(tmp_path / "other")
    for model, said in ((checkpoint, "a model came twice"), (tmp_path / "x", "there is no such folder")):
        assert said in _label(checkpoint, source, tmp_path / "s.tsv", "--model", model, "--like", source).stderr
    result = _label(checkpoint, source, tmp_path / "silver.tsv", "--model", other)
    assert result.exit_code == 1
    assert "2 models came, each with a scale of its own; needed: like or calibrate" in result.stderr
    app = typer.Typer()
    app.command()(main)
    command = ["tune", "--model", "a", "--model", "b", "--out", str(tmp_path / "tuned")]
    assert "tune: 2 --model came; allowed: one" in CliRunner().invoke(app, command).stderr


@given(
    st.lists(st.integers(-1000, 1000), min_size=2, unique=True), st.lists(st.integers(0, 5), min_size=2, max_size=40)
)
def test_matching_keeps_order_and_stays_within_gold(scores, gold):
    if len(set(gold)) < 2:
        with pytest.raises(ValueError, match="gold: 1 distinct values came"):
            match_range(scores, scores, gold)
        return
    matched = match_range(scores, scores, gold)
    assert (np.diff(matched[np.argsort(scores)]) > 0).all()
    assert matched.min() == min(gold)
    assert matched.max() == max(gold)


def test_matching_reaches_the_distribution_and_takes_the_reference_for_ranks():
    generator = np.random.default_rng(0)
    scores, gold = generator.normal(size=4000), generator.beta(2, 5, size=3000)
    matched = match_range(scores, scores, gold)
    levels = np.linspace(0.02, 0.98, 49)
    np.testing.assert_allclose(np.quantile(matched, levels), np.quantile(gold, levels), atol=0.002)
    # The median of the reference becomes the median of gold, whatever the scores are.
    assert match_range([0.0], [-1, 0, 1], [0.2, 0.3, 1.0])[0] == pytest.approx(0.3)
    np.testing.assert_array_equal(match_range([-9.0, 9.0], [-1, 0, 1], [0.2, 0.3, 1.0]), [0.2, 1.0])


@pytest.mark.parametrize("bad", [float("nan"), float("-inf")])
def test_a_score_that_is_no_number_is_refused_with_its_row(source, tmp_path, bad):
    pairs, out = read_pairs(source), tmp_path / "silver.tsv"

    def score(first, second):
        return torch.tensor([bad if pair == (pairs.sentences1[10], pairs.sentences2[10]) else 0.5
                             for pair in zip(first, second, strict=True)])  # fmt: skip

    with pytest.raises(ValueError, match=rf"pairs.tsv, row 11: the judge's score is {bad}; allowed: finite numbers"):
        label_pairs(score, pairs, out, identity={}, chunk_size=8)
    assert len(out.read_text().splitlines()) == 1 + 8, "only what can be used is kept"


def test_a_crash_before_the_data_leaves_nothing_that_the_same_command_refuses(source, tmp_path, monkeypatch):
    checkpoint, out = tiny_checkpoint(tmp_path / "checkpoint"), tmp_path / "silver.tsv"
    assert _label(checkpoint, source, tmp_path / "whole.tsv").exit_code == 0

    def dies(*arguments):
        record(*arguments)
        raise OSError("no space left")

    record = labelling.write_record
    with monkeypatch.context() as patch:
        patch.setattr(labelling, "write_record", dies)
        assert _label(checkpoint, source, out).exit_code == 1
    assert not out.exists()
    assert (tmp_path / "silver.tsv.json").exists()
    result = _label(checkpoint, source, out)
    assert result.exit_code == 0, result.output
    assert out.read_bytes() == (tmp_path / "whole.tsv").read_bytes()
    out.unlink()
    (tmp_path / "silver.tsv.json").write_text('{"command": "another"}')
    assert "silver.tsv.json: is there already" in _label(checkpoint, source, out).stderr


def test_an_option_of_tuning_is_refused(source, tmp_path):
    result = _label(tmp_path, source, tmp_path / "silver.tsv", "--epochs", 3, "--seed", 1)
    assert result.exit_code == 1
    assert "label: --epochs, --seed came, which would have no effect" in result.stderr


def test_another_tokenizer_is_another_judge(tmp_path):
    folder = tiny_transformer(tmp_path / "base")
    before = open_judge(folder, device=torch.device("cpu")).description
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace('"the"', '"a"'))
    after = open_judge(folder, device=torch.device("cpu")).description
    assert before["sha256"] == after["sha256"]
    assert before["files_sha256"] != after["files_sha256"]
