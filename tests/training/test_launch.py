"""Where a process stands."""

import os
import socket
import subprocess
import sys

import pytest
import torch

from simlstm.training.distributed import ALONE, Processes
from simlstm.training.launch import device_name, join
from simlstm.training.provenance import command_words
from simlstm.training.shares import shares_of


@pytest.fixture
def third_of_four(monkeypatch):
    """The environment that torchrun makes on a machine with four processes, and four GPUs."""
    for name, value in {"LOCAL_WORLD_SIZE": "4", "LOCAL_RANK": "2", "GROUP_WORLD_SIZE": "1",
                        "TORCHELASTIC_RUN_ID": "none"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)


def test_nobody_launched_it():
    with join() as processes:
        assert processes is ALONE
        assert (processes.rank, processes.count, processes.leads) == (0, 1, True)
    assert [device_name(name) for name in ("auto", "cpu", "cuda", "cuda:1")] == ["auto", "cpu", "cuda", "cuda:1"]


@pytest.mark.parametrize("where", ["main", "other"])
@pytest.mark.parametrize("program", [False, True])
def test_only_a_program_that_ends_is_ended_in_time(where, program):
    code = f"""
import contextlib, signal, threading
from simlstm.training.launch import join, leaving_in_time

said = []

def fail():
    try:
        with join() as processes, leaving_in_time(processes) if {program} else contextlib.nullcontext():
            raise KeyError("mine")
    except KeyError as error:
        said.append(error)

if {where == "main"}:
    fail()
else:
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
assert len(said) == 1
print(signal.alarm(0))
"""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    alone = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    said = subprocess.run([sys.executable, "-c", code], env=os.environ | alone, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert (int(said.stdout) > 0) == (where == "main" and program)


@pytest.mark.usefixtures("third_of_four")
def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    assert [device_name(name) for name in ("auto", "cuda", "cpu")] == ["cuda:2", "cuda:2", "cpu"]
    with pytest.raises(ValueError, match="got 'cuda:1' for 4 processes; allowed: auto, cuda"):
        device_name("cuda:1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    with pytest.raises(ValueError, match="got 'auto' for 4 processes; allowed: up to 3, one for each GPU"):
        device_name("auto")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_name("auto") == "auto"


@pytest.mark.usefixtures("third_of_four")
@pytest.mark.parametrize(
    "typed", [["-u", "-m", "scripts.train", "--out", "x"], ["-u", "scripts/train.py"], ["bin/simlstm", "train"]]
)
def test_the_command_is_the_launchers(monkeypatch, typed):
    monkeypatch.setattr("sys.orig_argv", ["python", *typed])
    words = [word for word in typed if word != "-u"]
    assert command_words() == ["-m", "torch.distributed.run", "--nproc-per-node", "4", *words]
    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")
    assert command_words()[4:6] == ["--nnodes", "2"]


def test_every_row_is_in_one_share_and_neighbours_are_dealt_apart():
    assert shares_of([5, 6, 7, 8, 9], 2) == [[5, 7, 9], [6, 8]]
    assert shares_of([5, 6], 4) == [[5], [6], [], []]


def test_every_process_draws_for_itself():
    seeds = [Processes(rank, 4).seed_of_draws(seed) for seed in (0, 1) for rank in range(4)]
    assert len(set(seeds)) == len(seeds)
