"""Interleaved turns of many calls each, long beside what an event can tell apart."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scripts.benchmarking.cuda.accelerator import Accelerator
from scripts.benchmarking.cuda.records import CudaTiming
from scripts.benchmarking.interleave import Measurement

# Events tell half a microsecond apart, which is far below a hundredth of this.
TURN_SECONDS = 5e-3
# A call that lasts this many turns needs no untimed one before it: what the host takes to launch it, up to 0.3 ms, is
# below a hundredth of it.
_LONG = 10
_MOST_CALLS = 500
_WARMUP, _ESTIMATED = 2, 3


@dataclass(frozen=True)
class Turns:
    """The seconds of one call, turn by turn, on the device and on the host."""

    device: Measurement
    host: Measurement
    calls: int

    def timing(self) -> CudaTiming:
        """Return medians, and the quartiles of the device's seconds."""
        return CudaTiming(device=self.device.timing(), host_s=self.host.median, calls=self.calls)


def take_turns(
    accelerator: Accelerator,
    candidates: Mapping[str, Callable[[int], object]],
    *,
    turns: int,
    turn_seconds: float = TURN_SECONDS,
) -> dict[str, Turns]:
    """Time candidates by turns, in alternating order, each right behind one untimed call unless it is a long one.

    Args:
        accelerator: Where they run.
        candidates: By name, called with a running number, by which they choose their input.
        turns: Measured turns of each, at least 2.
        turn_seconds: Least length of a turn; as many calls make it up as it takes, up to 500.

    Raises:
        ValueError: when ``turns`` is below 2: a median and quartiles need more than one value.
    """
    if turns < 2:
        raise ValueError(f"turns={turns}: at least 2 are needed for a median and quartiles")
    counts, primed = {}, {}
    for name, call in candidates.items():
        for number in range(_WARMUP):
            call(number)
        estimate = accelerator.time(call, _WARMUP, _ESTIMATED)
        primed[name] = estimate.device_s < _LONG * turn_seconds
        counts[name] = min(max(math.ceil(turn_seconds / max(estimate.device_s, 1e-9)), 1), _MOST_CALLS)
    taken = {name: Turns(Measurement(name), Measurement(name), counts[name]) for name in candidates}
    for turn in range(turns):
        for name in candidates if turn % 2 == 0 else reversed(list(candidates)):
            first = turn * counts[name]
            measured = accelerator.time(candidates[name], first, counts[name], primed=primed[name])
            taken[name].device.seconds.append(measured.device_s)
            taken[name].host.seconds.append(measured.host_s)
    return taken
