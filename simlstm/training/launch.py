"""Where a process of a run stands: alone, or one of several that ``torchrun`` launched, each on its own device."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from simlstm.training.distributed import ALONE, Processes
from simlstm.training.interruption import Interrupted

# How long a process waits for a silent one; one that has died is noticed at once, by its closed connection.
TIMEOUT = timedelta(minutes=30)
# How long a process that failed may take to leave.
_SECONDS_TO_LEAVE = 20


@contextmanager
def join() -> Iterator[Processes]:
    """Meet the other processes of a run that ``torchrun`` launched; a process launched without it is alone.

    Tensors on the CPU travel by gloo, those on CUDA by NCCL. After a failure nobody is waited for: the others may be
    waiting for this process.
    """
    if not {"RANK", "WORLD_SIZE"} <= os.environ.keys():
        yield ALONE
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    store, rank, count = next(iter(rendezvous("env://", timeout=TIMEOUT)))
    # After a restart torchrun may hand out the same store, with the addresses of processes that are gone.
    restart = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = dist.PrefixStore(f"restart {restart}", store)  # type: ignore[attr-defined]
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=TIMEOUT)
    try:
        yield Processes(rank, count, joined=True)
    except Interrupted:  # all leave together
        dist.destroy_process_group()
        raise
    dist.destroy_process_group()


@contextmanager
def leaving_in_time(processes: Processes) -> Iterator[None]:
    """End this process 20 seconds after a failure, whatever it waits for then, as a communicator's end can.

    For a program that a failure ends: the others may be waiting for it. One that goes on after a failure does without.
    """
    try:
        yield
    except Interrupted:  # all leave together
        raise
    except BaseException:
        # Only the main thread may handle signals, and a thread's failure is not the program's end.
        if not processes.alone and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_SECONDS_TO_LEAVE)
        raise


def device_name(name: str) -> str:
    """Return the device of this process: under ``torchrun``, ``auto`` and ``cuda`` mean a GPU of its own.

    Raises:
        ValueError: For one GPU named for several processes, or more processes than GPUs on this machine.
    """
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if here == 1 or name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return name
    if name not in ("auto", "cuda"):
        raise ValueError(f"device: got {name!r} for {here} processes; allowed: auto, cuda (a GPU for each), cpu")
    if (there := torch.cuda.device_count()) < here:
        raise ValueError(f"device: got {name!r} for {here} processes; allowed: up to {there}, one for each GPU")
    return f"cuda:{os.environ['LOCAL_RANK']}"
