"""How long a call takes where it runs."""

import time
from collections.abc import Callable

import torch


def seconds_of(call: Callable[[], None], device: torch.device, turns: int) -> list[float]:
    """Time a call several times, after two that are not timed.

    Args:
        call: what is timed.
        device: where it runs; on CUDA, events on its stream are the clock.
        turns: how often.

    Returns:
        list[float]: seconds of each turn.
    """
    for _ in range(2):
        call()
    if device.type != "cuda":
        seconds = []
        for _ in range(turns):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
        return seconds
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(turns)]  # type: ignore[no-untyped-call]
    for before, after in events:
        before.record()
        call()
        after.record()
    torch.cuda.synchronize(device)
    return [1e-3 * before.elapsed_time(after) for before, after in events]
