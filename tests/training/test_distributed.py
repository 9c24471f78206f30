"""Two processes train as one does."""

import json
import signal

import pytest
import torch

from simlstm.models.checkpoint import read_checkpoint
from simlstm.training.config_file import ConfigError
from simlstm.training.distributed import PeerError, Processes
from simlstm.training.interruption import Interrupted
from tests.training.processes import fail_in_turn, gradients_of_steps, save_gradients, together, whole_run
from tests.training.test_resume import StopAfter

# 96 rows in batches of 5: the last batch is one pair, so that one of two processes has none.
UNEVEN = {"training__batch_size": 5}
# Adam divides by the size of the gradient: with a large epsilon, rounding stays rounding.
SMOOTH = {"training__batch_size": 5, "optimizer__epsilon": 1e-2, "training__epochs": 2}


def test_gradients_are_those_of_one_process(graded, binary, paraphrases, tiny, tmp_path):
    """Every loss, with heads, accumulation and a frozen table, over a whole epoch of batches."""
    mixed = [str(graded[0]), str(binary[0]), paraphrases]
    every = {"loss__weights__kl": 1.0, "loss__weights__mse": 0.5, "loss__weights__bce": 0.5,
             "loss__weights__contrastive": 0.5, "loss__weights__cosent": 0.2,
             "loss__weights__multiple_negatives": 0.3}  # fmt: skip
    configs = [
        tiny((mixed, graded[1]), **UNEVEN, **every, training__accumulation_steps=3),
        tiny(graded, **UNEVEN, model__head="cosine", model__pooling="mean", embedding__frozen=True),
        tiny(binary, **UNEVEN, model__head="manhattan", optimizer__max_gradient_norm=0.0),
        tiny(graded, **UNEVEN, embedding__row_updates=True),
    ]
    assert together(save_gradients, configs, tmp_path) == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for config, ours, theirs in zip(configs, first, second, strict=True):
        expected = gradients_of_steps(config)
        assert len(ours) == len(expected) > 5
        for step, gradients in enumerate(expected):
            # A parameter that no loss of the step reaches has no gradient, and the optimizer leaves it alone.
            assert ours[step].keys() == gradients.keys()
            for name, gradient in gradients.items():
                assert torch.equal(ours[step][name], theirs[step][name])
                # The model computes in float64 here, the losses in float32.
                torch.testing.assert_close(ours[step][name], gradient, rtol=1e-5, atol=1e-6, msg=f"{step} {name}")


def _weights(out):
    return read_checkpoint(out).state


def test_a_whole_run_and_one_that_changes_its_number_end_in_the_same_weights(graded, tiny, run, tmp_path):
    config = tiny(graded, **SMOOTH)
    alone = run(config, tmp_path / "alone")
    assert together(whole_run, config, tmp_path / "two") == [0, 0]
    with pytest.raises(Interrupted):
        run(config, tmp_path / "more", display=StopAfter(17, signal.SIGTERM))
    assert together(whole_run, config, tmp_path / "more") == [0, 0]
    for name in ("two", "more"):
        metrics = json.loads((tmp_path / name / "metrics.json").read_text())
        assert (metrics["steps"], metrics["sentences"]) == (alone.metrics["steps"], alone.metrics["sentences"])
        for key, value in _weights(tmp_path / "alone").items():
            torch.testing.assert_close(_weights(tmp_path / name)[key], value, rtol=1e-5, atol=2e-6, msg=key)
    provenance = json.loads((tmp_path / "two" / "config.json").read_text())["provenance"]
    assert provenance["processes"] == 2


def test_another_number_is_refused_where_each_process_draws_at_random(graded, tiny, run, tmp_path):
    config = tiny(graded, model__word_dropout=0.1, model__embedding_dropout=0.1)
    with pytest.raises(Interrupted):
        run(config, tmp_path / "run", display=StopAfter(5, signal.SIGTERM))
    (progress,) = (tmp_path / "run" / "state").glob("step-*/progress.json")
    progress.write_text(progress.read_text().replace('"processes": 1', '"processes": 4'))
    with pytest.raises(
        ConfigError, match=r"trained by 4 processes, and there are 1; \[model\] embedding_dropout, word"
    ):
        run(config, tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), torch.AcceleratorError),
        (torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError),
        (RuntimeError("Connection closed by peer"), PeerError),
    ],
)
def test_what_breaks_on_this_device_is_not_a_peers_failure(monkeypatch, error, raised):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(torch.distributed, "all_reduce", fail)
    with pytest.raises(raised) as caught:
        Processes(0, 2, joined=True).ask(lambda: 0)
    assert type(caught.value) is raised


def test_a_failure_of_one_process_is_told_and_a_dead_one_noticed(tmp_path):
    codes = together(fail_in_turn, tmp_path)
    assert json.loads((tmp_path / "0.json").read_text()) == ["ZeroDivisionError", {"value": 0.5, "processes": 2}]
    assert json.loads((tmp_path / "1.json").read_text()) == ["PeerError", {"value": 0.5, "processes": 2}]
    assert codes == [1, 7]
