"""The real torchrun: a process killed, all restarted, stopped, gone on with, and the same bytes in the end."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simlstm.training.folder import RunFolder
from simlstm.training.identity import saved_config
from tests.training.processes import together, whole_run

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train.py"
LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
EVERYTHING = {
    "model.word_dropout": 0.1,
    "model.embedding_dropout": 0.3,
    "training.epochs": 30,
    "training.save_every": 3,
    "training.ema_decay": 0.9,
}


def _saved_step(out):
    return max((int(entry.name.removeprefix("step-")) for entry in (out / "state").glob("step-*")), default=-1)


def _launch(words):
    """Start torchrun on the training script."""
    return subprocess.Popen(
        words,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[1])},
    )


def _let_it_work(launcher, out):
    """Come back when some steps more are saved."""
    beyond = _saved_step(out) + 20
    while launcher.poll() is None and _saved_step(out) < beyond:
        time.sleep(0.005)


def _rank(launcher, rank):
    """Return the process id of one of the launcher's processes."""
    for child in Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split():
        if f"RANK={rank}\0".encode() in b"\0" + Path(f"/proc/{child}/environ").read_bytes():
            return int(child)
    raise AssertionError(f"no process {rank}")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the launched processes in Linux' /proc")
def test_killed_restarted_and_stopped_it_goes_on_to_the_same_bytes(graded, tiny_settings, tmp_path):
    out = tmp_path / "my run"
    options = ["--train", str(graded[0]), "--dev", str(graded[1]), "--out", str(out)]
    for key, value in {**tiny_settings, **EVERYTHING}.items():
        options += ["--set", f"{key}={str(value).lower()}"]

    stopped = _launch([*LAUNCHER, "--max-restarts", "1", str(SCRIPT), *options, "--resume"])
    _let_it_work(stopped, out)
    os.kill(_rank(stopped, 1), signal.SIGKILL)
    _let_it_work(stopped, out)  # torchrun has started both processes again
    stopped.send_signal(signal.SIGTERM)
    _, words = stopped.communicate(timeout=60)
    assert stopped.returncode != 0
    assert "train, process 0: another process of the run has failed or is gone" in words
    assert words.count("resuming") == 1, words
    assert words.count("stopped by SIGTERM after step") == 1, words
    assert f"after step {_saved_step(out)}; the state is saved" in words
    (way_on,) = [line.removeprefix("go on with: ") for line in words.splitlines() if line.startswith("go on with: ")]
    assert shlex.split(way_on) == ["python", *LAUNCHER[1:], str(SCRIPT), *options, "--resume"]

    config = saved_config(RunFolder(out))
    assert not (out / "config.json").exists()
    assert together(whole_run, config, out) == [0, 0]
    assert together(whole_run, config, tmp_path / "whole") == [0, 0]
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_a_process_that_dies_ends_the_run():
    launcher = _launch([*LAUNCHER, str(Path(__file__).with_name("dying_worker.py"))])
    _, words = launcher.communicate(timeout=120)
    assert launcher.returncode != 0
    assert "PeerError: another process of the run has failed or is gone" in words
    assert "SIGKILL" not in words, "torchrun had to kill the first process, which was waiting"
