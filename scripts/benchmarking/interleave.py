"""Interleaved timing: candidates take turns, so that a machine whose speed drifts drifts for all of them."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from simlstm import __version__
from simlstm.training.provenance import code_commit


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

    def as_json(self) -> dict[str, object]:
        """Return median, quartiles and the number of turns, in seconds."""
        return {"median_s": self.median, "quartiles_s": self.quartiles, "turns": len(self.seconds)}


def interleave(candidates: Mapping[str, Callable[[], object]], *, turns: int, warmup: int = 2) -> list[Measurement]:
    """Run each candidate once a turn and time it.

    Args:
        candidates: name → function without arguments; the order alternates from turn to turn, so that no
            candidate always runs on the cache that another one left.
        turns: measured turns of each candidate, at least 2.
        warmup: turns that are run first and not counted.

    Raises:
        ValueError: when ``turns`` is below 2: a median and quartiles need more than one value.
    """
    if turns < 2:
        raise ValueError(f"turns={turns}: at least 2 are needed for a median and quartiles")
    measurements = {name: Measurement(name) for name in candidates}
    for turn in range(-warmup, turns):
        order = list(candidates) if turn % 2 == 0 else list(candidates)[::-1]
        for name in order:
            start = time.perf_counter()
            candidates[name]()
            elapsed = time.perf_counter() - start
            if turn >= 0:
                measurements[name].seconds.append(elapsed)
    return list(measurements.values())


def median_ratio(slower: Measurement, faster: Measurement) -> float:
    """Return the median over turns of ``slower``'s seconds over ``faster``'s: how many times faster ``faster`` is.

    Pairing the two turns that ran side by side cancels the drift of the machine.
    """
    return statistics.median(a / b for a, b in zip(slower.seconds, faster.seconds, strict=True))


def machine() -> dict[str, object]:
    """Describe where a measurement was made: processor, threads, versions, commit (``+changes`` when edited)."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = f"{names[0]} ({len(names)} cores)" if names else model
    return {
        "processor": model,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "simlstm": __version__,
        "commit": code_commit(),
    }
