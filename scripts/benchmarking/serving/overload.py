"""Ours under an open loop, from half of what it can do to three times that."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from scripts.benchmarking.serving.agreement import OWN_TOLERANCE, difference
from scripts.benchmarking.serving.closed import Target
from scripts.benchmarking.serving.generator import Arrivals, OpenLoop
from scripts.benchmarking.serving.memory import watched
from scripts.benchmarking.serving.records import OverloadRow, Spread
from scripts.benchmarking.serving.servers import REPOSITORY, Server
from scripts.benchmarking.serving.wrk import run_wrk

# Arrivals over the closed-loop peak.
LOADS = (0.5, 0.8, 1.0, 2.0, 3.0)
# A queue that fills within a fraction of a second, so that refusing is what is measured: 256 single pairs, or 8
# requests of 32. It must hold fewer requests than the generator has connections.
SETTINGS = {"SIMLSTM_MAX_WAITING_SENTENCES": "512", "SIMLSTM_MAX_REQUEST_SENTENCES": "128"}
PEAK_CLIENTS = {1: 32, 32: 8}

_TOTALS = ("lost", "checked", "wrong")  # over all rounds


def measure_overload(
    server: Server, target: Target, scores: npt.NDArray[np.float32], *, rounds: int, seconds: float
) -> Iterator[OverloadRow]:
    """Measure the closed-loop peak and then each load, round by round.

    Args:
        server: Ours, with a small queue.
        target: What is asked.
        scores: What is right for each of its bodies, [bodies, pairs of one].
        rounds: How often.
        seconds: Of one run.

    Raises:
        RuntimeError: when the closed loop fails, or the generator.
    """
    things = scores.shape[1]
    kept: dict[float, list[dict[str, float | None]]] = {load: [] for load in LOADS}
    for number in range(rounds):
        closed = run_wrk(
            target.url, target.path, target.bodies, clients=PEAK_CLIENTS.get(things, 8), seconds=seconds, start=number
        )
        for load in LOADS:
            plan = OpenLoop(
                url=target.url, path=target.path, bodies=target.bodies, seconds=seconds, seed=number,
                rate=load * closed.requests_per_second,
            )  # fmt: skip
            with watched(server.process) as memory:
                arrivals = run_generator(plan)
            kept[load].append(
                _summary(arrivals, plan, closed.requests_per_second)
                | {"checked": len(arrivals.kept), "wrong": count_wrong(arrivals.kept, scores)}
                | {"memory_before_mib": memory[0], "memory_peak_mib": max(memory), "memory_after_mib": memory[-1]}
            )
    for load, rows in kept.items():
        yield _row(things, load, rows)


def run_generator(plan: OpenLoop) -> Arrivals:
    """Run the generator in a process of its own.

    Raises:
        RuntimeError: when it fails; shows the last of what it wrote.
    """
    ended = subprocess.run(
        [sys.executable, "-m", "scripts.benchmarking.serving.generator"],
        input=plan.model_dump_json(),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"the open loop's generator ended with status {ended.returncode}: {ended.stderr[-800:]}")
    return Arrivals.model_validate_json(ended.stdout)


def count_wrong(kept: Sequence[tuple[int, str]], scores: npt.NDArray[np.float32]) -> int:
    """Count the answers that do not hold the scores of the body that was asked, [bodies, pairs of one]."""
    return sum(not _is_right(answer, scores[position]) for position, answer in kept)


def _is_right(answer: str, scores: npt.NDArray[np.float32]) -> bool:
    try:
        results = sorted(json.loads(answer)["results"], key=lambda result: int(result["index"]))
        return difference([result["score"] for result in results], scores) <= OWN_TOLERANCE
    except (ValueError, KeyError, TypeError):
        return False


def _summary(arrivals: Arrivals, plan: OpenLoop, peak: float) -> dict[str, float | None]:
    goodput = arrivals.answered_in_time / plan.seconds
    return {
        "peak": peak,
        "offered": arrivals.sent / plan.seconds,
        "goodput": goodput,
        "goodput_share": goodput / peak,
        "refused_share": len(arrivals.refused) / max(1, arrivals.sent),
        "lost": sum(arrivals.other.values()),
        "accepted_p50_ms": _percentile(arrivals.accepted, 50),
        "accepted_p99_ms": _percentile(arrivals.accepted, 99),
        "refused_p50_ms": _percentile(arrivals.refused, 50),
        "refused_p99_ms": _percentile(arrivals.refused, 99),
        "generator_share": arrivals.processor_seconds / plan.seconds,
    }


def _percentile(seconds: Sequence[float], percent: float) -> float | None:
    return 1e3 * float(np.percentile(seconds, percent)) if seconds else None


def _row(things: int, load: float, rows: Sequence[dict[str, float | None]]) -> OverloadRow:
    def spread(name: str) -> Spread | None:
        values = [value for row in rows if (value := row[name]) is not None]
        return Spread.over(values) if values else None

    totals = {name: sum(int(row[name] or 0) for row in rows) for name in _TOTALS}
    figures = {name: spread(name) for name in rows[0] if name not in _TOTALS}
    return OverloadRow.model_validate({"things": things, "load": load} | totals | figures)
