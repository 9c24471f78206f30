"""The mean of the best evaluations' weights."""

import json
import signal

import pytest
import torch

from simlstm.data.formats import read_pairs
from simlstm.evaluation.evaluate import evaluate_model
from simlstm.models.checkpoint import read_checkpoint
from simlstm.models.similarity import SimilarityModel
from simlstm.training.finish import mean_of
from simlstm.training.interruption import Interrupted
from simlstm.training.state import StateFolder
from tests.training.metrics_log import logged
from tests.training.test_resume import StopAfter

MANY = {"training__epochs": 6, "training__ema_decay": 0.0, "training__save_every": 3}


def test_the_mean_of_state_dicts():
    states = [
        {"a": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)},
        {"a": torch.tensor([2.0, 4.0]), "n": torch.tensor(5)},
    ]
    mean = mean_of(states)
    assert torch.equal(mean["a"], torch.tensor([1.5, 3.0]))
    assert mean["a"].dtype == torch.float32
    assert mean["n"] == 3


@pytest.mark.parametrize("metric", ["spearman", "mse"])
def test_the_best_evaluations_are_averaged_and_dev_decides(graded, tiny, run, tmp_path, monkeypatch, metric):
    kept = {}
    load = StateFolder.load_best
    monkeypatch.setattr(StateFolder, "load_best", lambda self, step: kept.setdefault(step, load(self, step)))
    config = tiny(graded, **MANY, training__averaged_checkpoints=3, training__metric=metric)
    metrics = run(config, tmp_path / "run").metrics
    values = {line["step"]: line[metric] for line in logged(tmp_path / "run", "dev")}
    best = sorted(values, key=values.get, reverse=metric != "mse")[:3]
    said = metrics["averaged_checkpoints"]
    assert said["steps"] == sorted(best) == sorted(kept)
    assert said["best"] == values[best[0]]
    assert said["taken"] == (said["mean"] < said["best"] if metric == "mse" else said["mean"] > said["best"])
    state = read_checkpoint(tmp_path / "run").state
    expected = mean_of([kept[step] for step in best]) if said["taken"] else kept[best[0]]
    for name, tensor in state.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-6, atol=1e-7)  # the order of the sum
    model = SimilarityModel.from_pretrained(tmp_path / "run")
    model.calibration = None
    assert evaluate_model(model, read_pairs(graded[1]))[metric] == metrics["dev"][metric]
    assert metrics["dev"][metric] == (said["mean"] if said["taken"] else said["best"])


def test_one_checkpoint_is_the_best_alone_and_the_steps_are_the_same(graded, tiny, run, tmp_path):
    one = run(tiny(graded, **MANY), tmp_path / "one").metrics
    run(tiny(graded, **MANY, training__averaged_checkpoints=2), tmp_path / "two")
    assert "averaged_checkpoints" not in one
    assert [line["spearman"] for line in logged(tmp_path / "one", "dev")] == [
        line["spearman"] for line in logged(tmp_path / "two", "dev")
    ]


def test_a_stopped_run_ends_in_the_same_mean(graded, tiny, run, tmp_path):
    config = tiny(graded, **MANY, training__averaged_checkpoints=3)
    run(config, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(config, tmp_path / "broken", display=StopAfter(55, signal.SIGTERM))
    names = {entry.name for entry in (tmp_path / "broken" / "state").glob("best-*")}
    assert len(names) == 3
    run(config, tmp_path / "broken", resume=True)
    for name in ("model.safetensors", "calibration.json"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    said = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("broken", "whole")]
    assert said[0]["averaged_checkpoints"] == said[1]["averaged_checkpoints"]
