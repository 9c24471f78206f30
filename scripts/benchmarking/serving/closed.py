"""The closed loop: every server at every number of clients, by turns."""

import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from scripts.benchmarking.serving.plain import ROUTE
from scripts.benchmarking.serving.records import LoadFigure, LoadRow, Spread
from scripts.benchmarking.serving.servers import OURS, PLAIN, Server
from scripts.benchmarking.serving.workload import (
    BATCH,
    EMBEDDINGS,
    INFINITY_EMBEDDINGS,
    SIMILARITY,
    Workload,
    write_bodies,
)
from scripts.benchmarking.serving.wrk import ClosedLoop, run_wrk

SINGLE_CLIENTS, BATCH_CLIENTS = (1, 2, 4, 8, 16, 32, 64), (1, 4, 8)
_ANSWERS = 3  # of each client: what is unanswered when the time is up does not count
_WARM_UP_CLIENTS, _WARM_UP_SECONDS = 8, 2.0


@dataclass(frozen=True)
class Target:
    """Where a kind of request goes.

    Args:
        url: Of the server.
        path: Of the route.
        bodies: One a line.
        count: Of them.
    """

    url: str
    path: str
    bodies: Path
    count: int


@dataclass(frozen=True)
class Contest:
    """One kind of request, and who answers it.

    Args:
        part: What a request asks for.
        things: Pairs or sentences in a request.
        clients: Each number of connections.
        targets: By the name that stands in the report; the first one is ours.
        beside: By name, which of ours a target is compared with where that is not the first one.
    """

    part: Literal["single", "embeddings", "pairs"]
    things: int
    clients: Sequence[int]
    targets: Mapping[str, Target]
    beside: Mapping[str, str] = field(default_factory=dict)


def single_contest(
    workload: Workload, folder: Path, servers: Mapping[str, Server], clients: Sequence[int] | None
) -> Contest:
    """Ask for one pair at a time: of ours, of the plain route, and of infinity for the pair's two vectors."""
    targets: dict[str, Target] = {}
    for name, server in servers.items():
        path = {OURS: SIMILARITY, PLAIN: ROUTE}.get(name, INFINITY_EMBEDDINGS)
        bodies = workload.single_pairs_to_embed() if path == INFINITY_EMBEDDINGS else workload.single_pairs()
        targets[name] = _target(server, path, bodies, folder / f"single-{len(targets)}")
    return Contest("single", 1, clients or SINGLE_CLIENTS, targets)


def embeddings_contest(
    workload: Workload, folder: Path, servers: Mapping[str, Server], clients: Sequence[int] | None
) -> Contest:
    """Ask for batches of vectors as numbers and in base64; the plain route has none."""
    targets: dict[str, Target] = {}
    beside: dict[str, str] = {}
    for name, server in servers.items():
        if name == PLAIN:
            continue
        path, model = (EMBEDDINGS, None) if name == OURS else (INFINITY_EMBEDDINGS, "peer")
        for encoding in ("float", "base64"):
            bodies = workload.embedding_batches(encoding_format=encoding, model=model)
            shown = name if encoding == "float" else f"{name}, base64"
            targets[shown] = _target(server, path, bodies, folder / f"embeddings-{len(targets)}")
            if name != OURS and encoding == "base64":
                beside[shown] = f"{OURS}, base64"
    return Contest("embeddings", BATCH, clients or BATCH_CLIENTS, targets, beside)


def pairs_contest(workload: Workload, folder: Path, server: Server, clients: Sequence[int] | None) -> Contest:
    """Ask ours for many pairs at once."""
    target = _target(server, SIMILARITY, workload.pair_batches(), folder / "pairs")
    return Contest("pairs", BATCH, clients or BATCH_CLIENTS, {OURS: target})


def measure_contest(contest: Contest, *, rounds: int, seconds: float) -> Iterator[LoadRow]:
    """Warm every server up, then let them take turns at each number of clients; the order alternates.

    Args:
        contest: What is asked of whom.
        rounds: Measured runs of each server at each number of clients.
        seconds: Of one run.

    Raises:
        RuntimeError: when a request fails.
    """
    places = random.Random(0)  # noqa: S311 - a benchmark, no secret
    for target in contest.targets.values():
        _run(target, min(_WARM_UP_CLIENTS, max(contest.clients)), min(seconds, _WARM_UP_SECONDS), places)
    for clients in contest.clients:
        runs: dict[str, list[ClosedLoop]] = {name: [] for name in contest.targets}
        for number in range(rounds):
            order = list(contest.targets) if number % 2 == 0 else list(contest.targets)[::-1]
            for name in order:
                runs[name].append(_run(contest.targets[name], clients, seconds, places))
        first = next(iter(contest.targets))
        figures = {
            name: load_figure(measured, runs[contest.beside.get(name, first)]) for name, measured in runs.items()
        }
        yield LoadRow(part=contest.part, clients=clients, things=contest.things, figures=figures)


def load_figure(measured: Sequence[ClosedLoop], ours: Sequence[ClosedLoop]) -> LoadFigure:
    """Summarise the rounds of one server beside those of ours."""
    paired = zip(ours, measured, strict=True)
    return LoadFigure(
        requests=sum(run.requests for run in measured),
        requests_per_second=Spread.over([run.requests_per_second for run in measured]),
        p50_ms=Spread.over([run.p50_ms for run in measured]),
        p95_ms=Spread.over([run.p95_ms for run in measured]),
        p99_ms=Spread.over([run.p99_ms for run in measured]),
        ratio=statistics.median(mine.requests_per_second / theirs.requests_per_second for mine, theirs in paired),
    )


def _target(server: Server, path: str, bodies: Sequence[object], file: Path) -> Target:
    return Target(server.url, path, write_bodies(bodies, file.with_suffix(".jsonl")), len(bodies))


def _run(target: Target, clients: int, seconds: float, places: random.Random) -> ClosedLoop:
    # A run begins anywhere, so that a short one does not ask what the one before it asked.
    start = places.randrange(target.count)
    return run_wrk(
        target.url,
        target.path,
        target.bodies,
        clients=clients,
        seconds=seconds,
        start=start,
        answers=_ANSWERS * clients,
    )
