"""Interleaved timing: candidates take turns, so that a machine whose speed drifts drifts for all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from scripts.benchmarking.records import Timing


@dataclass
class Measurement:
    """The seconds that one candidate took, turn by turn."""

    name: str
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median seconds of a turn."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile of the seconds of a turn."""
        first, _, third = statistics.quantiles(self.seconds, n=4)
        return first, third

    def per(self, count: int) -> "Measurement":
        """Return the seconds of one of ``count`` things a turn, so that turns of different sizes can be paired."""
        return Measurement(self.name, [seconds / count for seconds in self.seconds])

    def timing(self) -> Timing:
        """Return median, quartiles and the number of turns, in seconds."""
        return Timing(median_s=self.median, quartiles_s=self.quartiles, turns=len(self.seconds))


def interleave(
    candidates: Mapping[str, Callable[[], object]], *, turns: int, warmup: int = 2, primed: bool = True
) -> dict[str, Measurement]:
    """Run each candidate once a turn and time it.

    Args:
        candidates: name → function without arguments; the order alternates from turn to turn.
        turns: measured turns of each candidate, at least 2.
        warmup: turns that are run first and not counted.
        primed: Run each candidate once untimed right before it is timed. So each finds its own weights in the
            caches, as in steady use, and not the threads of its predecessor still spinning on the cores: both OpenMP
            and ONNX Runtime keep theirs awake for a while, which costs whoever comes next up to a millisecond.

    Returns:
        The measurements by name, in the order of ``candidates``.

    Raises:
        ValueError: when ``turns`` is below 2: a median and quartiles need more than one value.
    """
    if turns < 2:
        raise ValueError(f"turns={turns}: at least 2 are needed for a median and quartiles")
    measurements = {name: Measurement(name) for name in candidates}
    for turn in range(-warmup, turns):
        order = list(candidates) if turn % 2 == 0 else list(candidates)[::-1]
        for name in order:
            if primed and turn >= 0:
                candidates[name]()
            start = time.perf_counter()
            candidates[name]()
            elapsed = time.perf_counter() - start
            if turn >= 0:
                measurements[name].seconds.append(elapsed)
    return measurements


def median_ratio(slower: Measurement, faster: Measurement) -> float:
    """Return the median over turns of ``slower``'s seconds over ``faster``'s: how many times faster ``faster`` is.

    Pairing the two turns that ran side by side cancels the drift of the machine.
    """
    return statistics.median(a / b for a, b in zip(slower.seconds, faster.seconds, strict=True))
