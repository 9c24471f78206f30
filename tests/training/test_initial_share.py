"""A share of the initial checkpoint in the weights at the end."""

import signal

import pytest
import torch

from simlstm.data.formats import read_pairs
from simlstm.evaluation.evaluate import evaluate_model
from simlstm.models.checkpoint import read_checkpoint
from simlstm.models.similarity import SimilarityModel
from simlstm.training.config_file import ConfigError
from simlstm.training.finish import blended
from simlstm.training.interruption import Interrupted
from simlstm.training.state import StateFolder
from tests.training.metrics_log import logged
from tests.training.test_resume import StopAfter

SHORT = {"training__epochs": 3, "training__ema_decay": 0.0, "training__save_every": 3}


@pytest.fixture
def initial(graded, tiny, run, tmp_path):
    return run(tiny(graded, training__epochs=2, training__seed=5), tmp_path / "initial").folder


@pytest.fixture
def shared(graded, tiny, initial):
    return tiny(graded, **SHORT, training__initial_checkpoint=str(initial), training__initial_share=0.4)


def test_blending_leaves_the_head_and_what_is_no_floating_tensor():
    trained = {"encoder.a": torch.tensor([1.0, 2.0]), "encoder.n": torch.tensor(3), "head.w": torch.tensor([1.0])}
    initial = {"encoder.a": torch.tensor([2.0, 0.0]), "encoder.n": torch.tensor(5), "head.w": torch.tensor([9.0])}
    result = blended(trained, initial, 0.25)
    torch.testing.assert_close(result["encoder.a"], torch.tensor([1.25, 1.5]))
    assert result["encoder.n"] == 3
    assert torch.equal(result["head.w"], trained["head.w"])


@pytest.mark.parametrize("metric", ["spearman", "mse"])
def test_dev_decides_about_the_share(graded, shared, initial, run, tmp_path, monkeypatch, metric):
    trained = {}
    load = StateFolder.load_best
    monkeypatch.setattr(StateFolder, "load_best", lambda self, step: trained.setdefault(step, load(self, step)))
    training = shared.training.model_copy(update={"metric": metric})
    metrics = run(shared.model_copy(update={"training": training}), tmp_path / "run").metrics
    said = metrics["initial_share"]
    assert said["share"] == 0.4
    values = {line["step"]: line[metric] for line in logged(tmp_path / "run", "dev")}
    assert said["without"] == values[metrics["best_step"]]
    assert said["taken"] == (said["with"] < said["without"] if metric == "mse" else said["with"] > said["without"])
    before, best = read_checkpoint(initial).state, trained[metrics["best_step"]]
    for name, tensor in read_checkpoint(tmp_path / "run").state.items():
        mixed = said["taken"] and name.startswith("encoder.")
        expected = 0.6 * best[name] + 0.4 * before[name] if mixed else best[name]
        torch.testing.assert_close(tensor, expected, rtol=1e-5, atol=1e-6)
    model = SimilarityModel.from_pretrained(tmp_path / "run")
    model.calibration = None
    assert evaluate_model(model, read_pairs(graded[1]))[metric] == metrics["dev"][metric]


def test_a_share_that_dev_likes_is_taken(graded, tiny, run, tmp_path):
    """A rate that ruins the weights: a large share of the initial ones is better, as a cosine has no head to ruin."""
    cosine = {"model__head": "cosine", "loss__weights": {"cosent": 1.0}, **SHORT}
    run(tiny(graded, **cosine), tmp_path / "initial")
    start = {"training__initial_checkpoint": str(tmp_path / "initial"), "training__initial_share": 0.99}
    ruin = {"optimizer__learning_rate": 5.0, "optimizer__schedule": "constant"}
    metrics = run(tiny(graded, **cosine, **start, **ruin), tmp_path / "run").metrics
    assert metrics["initial_share"]["taken"]
    assert metrics["dev"]["spearman"] == metrics["initial_share"]["with"] > metrics["initial_share"]["without"]


def test_a_stopped_run_has_the_initial_weights_still(shared, initial, run, tmp_path):
    run(shared, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(shared, tmp_path / "broken", display=StopAfter(20, signal.SIGTERM))
    run(shared, tmp_path / "broken", resume=True)
    for name in ("model.safetensors", "calibration.json"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_share_of_nothing_is_refused(graded, tiny):
    with pytest.raises((ConfigError, ValueError), match="initial_share needs initial_checkpoint"):
        tiny(graded, training__initial_share=0.3)
