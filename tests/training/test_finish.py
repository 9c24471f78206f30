"""What a run says at its end beside its metrics: how far probabilities are off, and what dev shares with training."""

import json

import pytest

from simlstm.data.formats import read_pairs
from simlstm.evaluation.evaluate import calibrate_model, calibration_error, evaluate_model
from simlstm.evaluation.overlap import overlaps_by_name
from simlstm.models.similarity import SimilarityModel
from simlstm.training.counted import overlap_of
from simlstm.training.identity import completed
from simlstm.training.interruption import Interrupted
from simlstm.training.run import train
from simlstm.training.run_data import read_run_data
from simlstm.training.seeds import check_finished
from tests.training.conftest import write_pairs


def _train(config, out, **arguments):
    return train(
        config, out, evaluate=evaluate_model, calibrate=calibrate_model, calibration_error=calibration_error,
        count_overlap=overlaps_by_name, **arguments,
    )  # fmt: skip


def test_overlap_and_calibration_error_are_recorded(graded, tiny, tmp_path, caplog):
    test = write_pairs(tmp_path / "test.csv", rows=10, seed=1)  # the first ten pairs of training
    config = tiny(graded, training__epochs=1, data__count_overlap=[str(test)])
    with caplog.at_level("INFO", logger="simlstm.training.counted"):
        metrics = _train(config, tmp_path / "run").metrics
    name = read_pairs(test).name
    assert metrics["overlap"][name]["pairs"] == metrics["overlap"][name]["all_pairs"] == 10
    assert list(metrics["overlap"]) == [read_pairs(graded[1]).name, name]
    assert f"{name}: 10 of 10 pairs and 1" in caplog.text
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == metrics
    model = SimilarityModel.from_pretrained(tmp_path / "run")
    assert metrics["calibration_error"] == calibration_error(model, read_pairs(graded[1]))
    assert metrics["calibration_error"]["pairs"] == 40
    assert "calibration_error.equal_mass" in (tmp_path / "run" / "README.md").read_text()


def test_labels_are_decided_about_at_the_threshold_of_other_folds(binary, graded, tiny, tmp_path):
    metrics = _train(tiny(binary, training__epochs=1), tmp_path / "labels").metrics
    for name in ("accuracy", "f1"):
        assert metrics["dev"][f"cross_fitted_{name}"] == metrics["calibration_error"][name]
    assert metrics["dev"]["cross_fitted_accuracy"] <= metrics["dev"]["optimistic_accuracy"]
    assert "cross_fitted_accuracy" not in _train(tiny(graded, training__epochs=1), tmp_path / "scores").metrics["dev"]


def test_sentences_learned_from_a_teacher_are_counted_too(graded, tiny, tmp_path, caplog):
    text = tmp_path / "text.txt"
    dev = read_pairs(graded[1])
    text.write_text(f"{dev.sentences1[0].upper()}\n{dev.sentences1[0]}\nnever seen\n", encoding="utf-8")
    sources = ["demo:en:train", {"path": str(text), "format": "sentences"}]
    config = tiny((sources, graded[1]), distillation__teacher="x")
    with caplog.at_level("INFO", logger="simlstm.training.counted"):
        overlap = overlap_of(config, read_run_data(config), overlaps_by_name)[dev.name]
    assert (overlap["pairs"], overlap["sentences"], overlap["taught_sentences"]) == (0, 0, 1)
    assert (
        f"{dev.name}: 0 of 40 pairs and 0 of {overlap['all_sentences']} sentences stand in the training pairs, 1 sen"
        in (caplog.text)
    )
    without = tiny(graded)
    assert "taught_sentences" not in overlap_of(without, read_run_data(without), overlaps_by_name)[dev.name]


def test_two_files_of_one_name_are_both_counted(graded, tiny, tmp_path):
    same = tmp_path / graded[1].parent.name / graded[1].name
    same.parent.mkdir()
    write_pairs(same, rows=7, seed=1)  # the first seven pairs of training
    config = tiny(graded, data__count_overlap=[str(same)])
    overlap = overlap_of(config, read_run_data(config), overlaps_by_name)
    assert {name: shared["all_pairs"] for name, shared in overlap.items()} == {str(graded[1]): 40, str(same): 7}
    assert overlap[str(same)]["pairs"] == 7


def test_a_file_to_count_that_is_missing_ends_the_run_before_it_begins(graded, tiny, tmp_path):
    with pytest.raises(ValueError, match=r"missing\.csv: no such file"):
        _train(tiny(graded, data__count_overlap=["missing.csv"]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_counted_may_change_when_a_run_goes_on(graded, tiny, tmp_path, monkeypatch):
    from simlstm.training.display import Display

    def stop(self, step, **_):
        raise Interrupted(2, step)

    with monkeypatch.context() as patch:
        patch.setattr(Display, "advance", stop)
        with pytest.raises(Interrupted):
            _train(tiny(graded), tmp_path / "run")
    config = tiny(graded, data__count_overlap=[str(graded[0])])
    result = _train(config, tmp_path / "run", resume=True)
    assert len(result.metrics["overlap"]) == 2
    check_finished(tmp_path / "run", config)  # what it was counted on is what it is recorded with


def test_a_configuration_of_an_earlier_version_is_completed_by_defaults(graded, tiny):
    now = tiny(graded).model_dump(mode="json")
    earlier = json.loads(json.dumps(now))
    del earlier["training"]["averaged_checkpoints"], earlier["data"]["count_overlap"], earlier["calibration"]
    del earlier["data"]["train"][0]["head"]
    earlier["training"]["epochs"] = 77
    assert completed(earlier) == {**now, "training": {**now["training"], "epochs": 77}}
