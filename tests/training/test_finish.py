"""What a run says at its end beside its metrics: how far probabilities are off, and what dev shares with training."""

import json

import pytest

from simlstm.data.formats import read_pairs
from simlstm.evaluation.evaluate import calibrate_model, calibration_error, evaluate_model
from simlstm.evaluation.overlap import overlaps_by_name
from simlstm.models.similarity import SimilarityModel
from simlstm.training.identity import completed
from simlstm.training.interruption import Interrupted
from simlstm.training.run import train
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
    result = _train(tiny(graded, data__count_overlap=[str(graded[0])]), tmp_path / "run", resume=True)
    assert len(result.metrics["overlap"]) == 2


def test_a_configuration_of_an_earlier_version_is_completed_by_defaults(graded, tiny):
    now = tiny(graded).model_dump(mode="json")
    earlier = json.loads(json.dumps(now))
    del earlier["training"]["averaged_checkpoints"], earlier["data"]["count_overlap"], earlier["calibration"]
    del earlier["data"]["train"][0]["head"]
    earlier["training"]["epochs"] = 77
    assert completed(earlier) == {**now, "training": {**now["training"], "epochs": 77}}
