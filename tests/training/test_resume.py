"""A run that is killed and resumed ends in the same bytes as one that is not."""

import json
import multiprocessing
import os
import random
import signal
import time

import pytest
import torch

from simlstm.evaluation.evaluate import calibrate_model, evaluate_model
from simlstm.models.similarity import SimilarityModel
from simlstm.training import state
from simlstm.training.config_file import ConfigError
from simlstm.training.folder import RunFolder
from simlstm.training.identity import saved_config
from simlstm.training.interruption import Interrupted, Interruption
from simlstm.training.run import train

# Real processes, forked from one that has imported everything already, which saves seconds for each.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["simlstm.training.run", "simlstm.evaluation.evaluate"])


def _train(config, out, resume, kill_when_saving):
    """Run in a process of its own; it may kill itself halfway through the saving of one step's state."""
    torch.set_num_threads(1)
    if kill_when_saving is not None:
        sync = state._sync
        doomed = f".step-{kill_when_saving:08d}.partial"

        def kill(path):
            sync(path)
            if doomed in path.parts:
                os.kill(os.getpid(), signal.SIGKILL)

        state._sync = kill
    train(config, out, evaluate=evaluate_model, calibrate=calibrate_model, resume=resume)


OFTEN = {"training__save_every": 1, "training__log_every": 5}
PLAIN = {"training__epochs": 4, "training__ema_decay": 0.0}
EVERYTHING = {
    "model__embedding_dropout": 0.3,
    "model__word_dropout": 0.1,
    "model__recurrent_dropout": 0.1,
    "model__weight_dropout": 0.2,
    "model__head_dropout": 0.2,
    "training__epochs": 12,
    "training__ema_decay": 0.9,
    "training__ema_every": 2,
    "embedding__row_updates": True,
    "training__accumulation_steps": 3,
    "training__evaluations_per_epoch": 2,
    "training__averaged_checkpoints": 3,
}
STEPS = 48  # of either


def _start(config, out, *, resume=False, kill_when_saving=None):
    process = PROCESSES.Process(target=_train, args=(config, out, resume, kill_when_saving))
    process.start()
    return process


def _end(process):
    process.join()
    return process.exitcode


def _saved_step(out):
    steps = [int(entry.name.removeprefix("step-")) for entry in (out / "state").glob("step-*")]
    return max(steps, default=-1)


def _kill_at(process, out, step):
    """Send SIGKILL as soon as a step is saved; the process is anywhere in the next ones then."""
    while process.is_alive() and _saved_step(out) < step:
        time.sleep(0.001)
    process.kill()
    return _end(process) == -signal.SIGKILL


def _log(out):
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    clocks = {"sentences_per_second", "train_seconds"}
    return [{key: value for key, value in line.items() if key not in clocks} for line in lines]


@pytest.mark.parametrize("settings", [PLAIN, EVERYTHING], ids=["plain", "everything"])
def test_killed_at_random_moments_it_ends_in_the_same_weights(graded, tiny, run, tmp_path, settings):
    config = tiny(graded, **OFTEN, **settings)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(config, whole)
    chance = random.Random()  # another place every time: any place must do
    stops = sorted(chance.sample(range(STEPS - 10), 2))
    killed = [_kill_at(_start(config, broken), broken, stops[0])]
    killed.append(_kill_at(_start(config, broken, resume=True), broken, stops[1]))
    # The third death comes in the middle of a saving, with half a folder on the disk.
    killed.append(_end(_start(config, broken, resume=True, kill_when_saving=STEPS - 3)) == -signal.SIGKILL)
    assert all(killed), f"the processes were too fast for the stops {stops}"
    assert [entry.name for entry in (broken / "state").glob(".step-*.partial")], "the third one left half a folder"
    assert _end(_start(config, broken, resume=True)) == 0
    assert (broken / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes(), stops
    assert (broken / "calibration.json").read_bytes() == (whole / "calibration.json").read_bytes()
    assert _log(broken) == _log(whole), stops
    assert not (broken / "state").exists()


class StopAfter:
    """Stands in for the display, and raises a signal after some steps."""

    def __init__(self, step, number):
        self.step, self.number = step, number

    def begin(self, total_steps, step):
        pass

    def evaluated(self, *args, **kwargs):
        pass

    def advance(self, step, **_):
        if step == self.step:
            signal.raise_signal(self.number)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def test_signals_save_the_state_and_resuming_ends_in_the_same_weights(graded, tiny, run, tmp_path):
    config = tiny(graded, model__embedding_dropout=0.3, training__log_every=5, training__save_every=1000)
    run(config, tmp_path / "whole")
    for step, number in ((5, signal.SIGINT), (12, signal.SIGTERM), (17, signal.SIGINT)):
        with pytest.raises(Interrupted) as stop:
            run(config, tmp_path / "broken", resume=True, display=StopAfter(step, number))
        assert (stop.value.signal_number, stop.value.step) == (number, step)
        assert _saved_step(tmp_path / "broken") == step
    run(config, tmp_path / "broken", resume=True)
    assert (tmp_path / "broken" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()
    assert _log(tmp_path / "broken") == _log(tmp_path / "whole")


@pytest.fixture
def stopped(graded, tiny, run, tmp_path):
    """A folder with a run that was stopped after 5 steps."""
    with pytest.raises(Interrupted):
        run(tiny(graded), tmp_path / "run", display=StopAfter(5, signal.SIGTERM))
    return tmp_path / "run"


def test_another_configuration_is_refused_naming_every_key(stopped, graded, tiny, run):
    with pytest.raises(ConfigError) as caught:
        run(tiny(graded, training__epochs=3, optimizer__learning_rate=0.5), stopped, resume=True)
    assert str(caught.value).splitlines() == [
        "cannot resume:",
        "[optimizer] learning_rate: the run was started with 0.001, got 0.5",
        "[training] epochs: the run was started with 2, got 3",
    ]


def test_the_calibration_may_change_as_it_steers_no_weight(stopped, graded, tiny, run, tmp_path):
    run(tiny(graded), tmp_path / "whole")
    changed = tiny(graded, calibration__positive_from=0.7)
    with pytest.raises(Interrupted):
        run(changed, stopped, resume=True, display=StopAfter(7, signal.SIGTERM))
    assert saved_config(RunFolder(stopped)).calibration.positive_from == 0.7
    run(changed, stopped, resume=True)
    assert (stopped / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()
    config = SimilarityModel.from_pretrained(stopped).provenance["config"]
    assert config["calibration"]["positive_from"] == 0.7


def test_the_configuration_can_be_left_out(stopped, graded, tiny, run):
    config = saved_config(RunFolder(stopped))
    assert config == tiny(graded)
    assert config.model_fields_set == tiny(graded).model_fields_set
    assert run(config, stopped, resume=True).metrics["steps"] == 24


def test_changed_data_are_refused(tiny, run, graded, tmp_path):
    train_file = tmp_path / "train.csv"
    train_file.write_bytes(graded[0].read_bytes())
    config = tiny((train_file, graded[1]))
    with pytest.raises(Interrupted):
        run(config, tmp_path / "run", display=StopAfter(5, signal.SIGTERM))
    with train_file.open("a") as file:
        file.write("x,y,0.5\n")
    with pytest.raises(ConfigError, match="the files have changed since the run was started"):
        run(config, tmp_path / "run", resume=True)


def test_a_stopped_run_is_not_started_anew_by_accident(stopped, graded, tiny, run):
    with pytest.raises(ValueError, match="there is a run in this folder; --resume goes on with it"):
        run(tiny(graded), stopped)


def test_resuming_where_nothing_began_starts(graded, tiny, run, tmp_path):
    (tmp_path / "run" / "state").mkdir(parents=True)
    assert run(tiny(graded, training__epochs=1), tmp_path / "run", resume=True).metrics["steps"] == 12


def test_a_crash_while_the_checkpoint_is_written_is_made_good(graded, tiny, run, tmp_path, monkeypatch):
    def crash(self, folder):
        raise KeyboardInterrupt

    run(tiny(graded), tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(SimilarityModel, "save_pretrained", crash)
        with pytest.raises(KeyboardInterrupt):
            run(tiny(graded), tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()
    run(tiny(graded), tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()


@pytest.fixture
def interruptible():
    """Answer SIGINT as a person's shell has it: in the background of a script, as tests may run, it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_second_signal_acts_at_once():
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGINT)
        assert interruption.signal_number == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_best_value_and_the_count_towards_the_early_end_survive(graded, tiny, tmp_path):
    values = [0.1, 0.6, 0.5, 0.55, 0.4, 0.9]
    config = tiny(graded, training__epochs=6, training__patience=3)
    seen = iter([0.0, *values])  # the first is the untrained model's
    for step in (24, 36, 48):  # after each of these evaluations the run is stopped and resumed
        with pytest.raises(Interrupted):
            train(
                config,
                tmp_path / "run",
                evaluate=lambda model, data: {"spearman": next(seen)},
                resume=True,
                display=StopAfter(step, signal.SIGTERM),
            )
    result = train(config, tmp_path / "run", evaluate=lambda model, data: {"spearman": next(seen)}, resume=True)
    assert (result.metrics["steps"], result.metrics["best_epoch"], result.metrics["stopped_early"]) == (60, 2, True)
