"""How long a call takes where it runs."""

import time
from collections.abc import Callable

import torch

# Cycles: some milliseconds, in which a host starts dozens of kernels.
_HEAD_START = 10_000_000


def seconds_of(call: Callable[[], None], device: torch.device, turns: int) -> list[float]:
    """Time a call several times, after two that are not timed.

    Args:
        call: what is timed.
        device: where it runs; on CUDA, events on its stream are the clock.
        turns: how often.

    Returns:
        list[float]: seconds of each turn.
    """
    if device.type == "cuda":
        with torch.cuda.device(device):  # events are those of the current device
            return _seconds_on_cuda(call, turns)
    for _ in range(2):
        call()
    seconds = []
    for _ in range(turns):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def _seconds_on_cuda(call: Callable[[], None], turns: int) -> list[float]:
    for _ in range(2):
        call()
    # While the device is busy with nothing, all turns are queued: otherwise it would wait for the host between them.
    torch.cuda._sleep(_HEAD_START)  # type: ignore[no-untyped-call]
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(turns)]  # type: ignore[no-untyped-call]
    for before, after in events:
        before.record()
        call()
        after.record()
    torch.cuda.synchronize()
    return [1e-3 * before.elapsed_time(after) for before, after in events]
