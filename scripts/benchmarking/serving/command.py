"""``scripts/benchmark.py serve``: which servers are started, and what is measured in which order."""

import contextlib
import tempfile
from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum
from pathlib import Path

from scripts.benchmarking.machine import describe_machine
from scripts.benchmarking.serving import agreement, closed, servers
from scripts.benchmarking.serving.counters import cache_counts
from scripts.benchmarking.serving.latency import measure_latency
from scripts.benchmarking.serving.overload import SETTINGS, measure_overload
from scripts.benchmarking.serving.records import AddedLatency, LoadRow, OverloadRow, ServeReport, SoakReport
from scripts.benchmarking.serving.servers import INFINITY, OURS, PLAIN, Server, started
from scripts.benchmarking.serving.soak import measure_soak
from scripts.benchmarking.serving.wire import Client, get_request
from scripts.benchmarking.serving.workload import BATCH, SIMILARITY, Workload, draw_sentences, write_bodies
from scripts.benchmarking.serving.wrk import find_wrk, wrk_version
from simlstm.models.similarity import SimilarityModel

MODEL, SENTENCES, ROUNDS, SECONDS, SOAK_SECONDS = "en", 8000, 3, 4.0, 1800.0
# Requests ask about each sentence once in a while: a cache that remembers them all would be what is measured.
NO_CACHE = {"SIMLSTM_CACHE_BYTES": "0"}
# Far fewer sentences than a soak asks about (some hundred vectors), so that the encoder computes all the time and the
# cache is full and replaced all the time, too.
SOAK_CACHE = {"SIMLSTM_CACHE_BYTES": str(2**20)}


class Part(StrEnum):
    """What ``serve`` measures."""

    single = "single"
    embeddings = "embeddings"
    pairs = "pairs"
    latency = "latency"
    overload = "overload"


def measure(
    *,
    model: str = MODEL,
    parts: Collection[Part] = tuple(Part),
    clients: Sequence[int] | None = None,
    rounds: int = ROUNDS,
    seconds: float | None = None,
    sentences: int = SENTENCES,
    infinity: Path | None = None,
    minilm: Path,
) -> ServeReport:
    """Measure the server against its peers, by turns; each is compared with the model first.

    Args:
        model: A checkpoint folder, or the name of a shipped one.
        parts: What to measure.
        clients: Numbers of connections, for the closed-loop parts; None takes those of each part.
        rounds: Measured runs of each server at each load.
        seconds: Of one run; None takes 4.
        sentences: Distinct sentences that requests are made of.
        infinity: The program ``infinity_emb``; None leaves that peer out.
        minilm: The model that it serves, as ``make minilm`` puts it.

    Raises:
        RuntimeError: when wrk is missing, a server does not start, differs from the model, or a request fails.
        ValueError: when a value is not allowed.
        OSError: when infinity or its model is not where it was said to be.
    """
    seconds = SECONDS if seconds is None else seconds
    _check(rounds=rounds, seconds=seconds, sentences=sentences, clients=clients)
    machine = describe_machine()  # first: its load average is that of the machine before we came
    needs_wrk = set(parts) - {Part.latency}
    if needs_wrk:
        find_wrk()
    launches = [servers.ours(model, NO_CACHE)]
    if Part.single in parts:
        launches.append(servers.plain(model))
    if infinity is not None and {Part.single, Part.embeddings} & set(parts):
        launches.append(servers.infinity(infinity, minilm))
    own = SimilarityModel.from_pretrained(model, device="cpu")
    drawn = draw_sentences(sentences)
    rows: list[LoadRow] = []
    overload: list[OverloadRow] = []
    latency: AddedLatency | None = None
    parity: dict[str, float] = {}
    hits: int | None = None
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if set(parts) - {Part.overload}:
            with contextlib.ExitStack() as running:
                answering = {launch.name: running.enter_context(started(launch)) for launch in launches}
                first = answering[OURS]
                workload = Workload(drawn, served_name(first))
                parity = _parity(answering, workload, own)
                for contest in _contests(parts, workload, folder, answering, clients):
                    rows += closed.measure_contest(contest, rounds=rounds, seconds=seconds)
                if Part.latency in parts:
                    latency = measure_latency(first, workload, own)
                counts = cache_counts(first)
                hits = None if counts is None else counts.cached
        if Part.overload in parts:
            server = stack.enter_context(started(servers.ours(model, NO_CACHE | SETTINGS)))
            workload = Workload(drawn, served_name(server))
            parity |= _parity({f"{server.name}, small queue": server}, workload, own)
            right = own.score(*zip(*workload.pairs, strict=True))
            for things, bodies in ((1, workload.single_pairs()), (BATCH, workload.pair_batches())):
                file = write_bodies(bodies, folder / f"overload-{things}.jsonl")
                scores = right[: things * len(bodies)].reshape(-1, things)
                target = closed.Target(server.url, SIMILARITY, file, len(bodies))
                overload += measure_overload(server, target, scores, rounds=rounds, seconds=seconds)
    return ServeReport(
        machine=machine,
        wrk=wrk_version() if needs_wrk else None,
        model=own.name,
        peers=_peers(infinity),
        skipped={} if infinity is not None else {INFINITY: "--infinity did not name its program"},
        parity=parity,
        seconds=seconds,
        rounds=rounds,
        sentences=sentences,
        server_settings={"all parts": NO_CACHE, "overload": SETTINGS},
        cache_hits=hits,
        rows=rows,
        latency=latency,
        overload=overload,
    )


def soak(
    *,
    model: str = MODEL,
    seconds: float | None = None,
    clients: Sequence[int] | None = None,
    sentences: int = SENTENCES,
) -> SoakReport:
    """Start our server with a small cache and ask it for a long time; every answer is compared.

    Args:
        model: A checkpoint folder, or the name of a shipped one.
        seconds: Of the run; None takes half an hour.
        clients: One number of connections; None takes 8.
        sentences: Distinct sentences that requests are made of.

    Raises:
        RuntimeError: when the server does not start, or the first answer of a route is not what it should be.
        ValueError: when a value is not allowed.
    """
    seconds = SOAK_SECONDS if seconds is None else seconds
    _check(seconds=seconds, sentences=sentences, clients=clients)
    if clients is not None and len(clients) != 1:
        raise ValueError(f"--client: {len(clients)} numbers came; a soak takes one")
    own = SimilarityModel.from_pretrained(model, device="cpu")
    drawn = draw_sentences(sentences)
    with started(servers.ours(model, SOAK_CACHE)) as server:
        return measure_soak(server, own, drawn, seconds=seconds, clients=8 if clients is None else clients[0])


def served_name(server: Server) -> str:
    """Return the name that our server gives its first model."""
    client = Client(server.url)
    try:
        return str(client.ask(get_request("/v1/models"), "/v1/models")["data"][0]["id"])
    finally:
        client.close()


def _check(*, seconds: float, sentences: int, clients: Sequence[int] | None, rounds: int = 1) -> None:
    if seconds <= 0:
        raise ValueError(f"--seconds: {seconds} came; it must be above 0")
    if rounds < 1:
        raise ValueError(f"--rounds: {rounds} came; at least 1 is needed")
    if sentences < 2 * BATCH:
        raise ValueError(f"--texts: {sentences} came; at least {2 * BATCH} fill one request of many pairs")
    if clients is not None and (not clients or min(clients) < 1):
        raise ValueError(f"--client: {list(clients)} came; each must be at least 1")


def _parity(answering: dict[str, Server], workload: Workload, own: SimilarityModel) -> dict[str, float]:
    found = {}
    for name, server in answering.items():
        match server.name:
            case servers.OURS:
                found[name] = agreement.check_ours(server, workload, own)
            case servers.PLAIN:
                found[name] = agreement.check_plain(server, workload, own)
            case _:
                found[name] = agreement.check_infinity(server, workload)
    return found


def _contests(
    parts: Collection[Part],
    workload: Workload,
    folder: Path,
    answering: dict[str, Server],
    clients: Sequence[int] | None,
) -> Iterator[closed.Contest]:
    if Part.single in parts:
        yield closed.single_contest(workload, folder, answering, clients)
    if Part.embeddings in parts:
        yield closed.embeddings_contest(workload, folder, answering, clients)
    if Part.pairs in parts:
        yield closed.pairs_contest(workload, folder, answering[OURS], clients)


def _peers(infinity: Path | None) -> dict[str, str]:
    peers = {PLAIN: "FastAPI, `def` endpoint, torch.nn.LSTM on one thread a call, uvicorn with uvloop and httptools"}
    if infinity is not None:
        peers[INFINITY] = _versions(infinity)
    return peers


def _versions(infinity: Path) -> str:
    """Say which versions an environment has, from the names of what is installed there."""
    found = {}
    for folder in infinity.resolve().parents[1].glob("lib/python*/site-packages/*.dist-info"):
        name, _, version = folder.name.removesuffix(".dist-info").partition("-")
        found[name.lower()] = version
    wanted = ("infinity_emb", "torch", "transformers", "sentence_transformers", "click")
    return ", ".join(f"{name} {found[name]}" for name in wanted if name in found) or "versions not known"
