"""What the server adds to the bare model call, for one client that waits for each answer."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import torch

from scripts.benchmarking.serving.records import AddedLatency, Spread
from scripts.benchmarking.serving.servers import Server
from scripts.benchmarking.serving.wire import Client, post_request
from scripts.benchmarking.serving.workload import SIMILARITY, Workload, json_bytes
from simlstm.models.similarity import SimilarityModel

PAIRS = 400
_WARM_UP = 50


def measure_latency(server: Server, workload: Workload, model: SimilarityModel, *, pairs: int = PAIRS) -> AddedLatency:
    """Ask for single pairs over one kept connection, and score the same pairs here, by turns.

    The bare call has as many threads as the server's worker takes by default.

    Args:
        server: Ours, idle otherwise.
        workload: Where the pairs come from; when it has fewer, they come again.
        model: The same checkpoint in this process.
        pairs: Measured ones; some before them warm up.

    Raises:
        RuntimeError: when a request fails.
    """
    known = workload.pairs
    chosen = [known[number % len(known)] for number in range(pairs + _WARM_UP)]
    requests = [post_request(SIMILARITY, json_bytes({"sentence1": a, "sentence2": b})) for a, b in chosen]
    http: list[float] = []
    bare: list[float] = []
    with contextlib.closing(Client(server.url)) as client, _threads_of_a_worker():
        for number, ((first, second), request) in enumerate(zip(chosen, requests, strict=True)):
            calls: list[tuple[list[float], Callable[[], object]]] = [
                (http, lambda request=request: _asked(client, request)),  # type: ignore[misc]
                (bare, lambda first=first, second=second: model.score([first], [second])),  # type: ignore[misc]
            ]
            for seconds, call in calls if number % 2 == 0 else calls[::-1]:
                start = time.perf_counter()
                call()
                seconds.append(time.perf_counter() - start)
    http, bare = _milliseconds(http), _milliseconds(bare)
    # Pair by pair: what slows the machine down for a while, slows down both of a pair.
    added = statistics.median(over - alone for over, alone in zip(http, bare, strict=True))
    return AddedLatency(pairs=pairs, http_ms=Spread.over(http), model_ms=Spread.over(bare), added_ms=added)


@contextlib.contextmanager
def _threads_of_a_worker() -> Iterator[None]:
    """Compute with one thread less than torch's choice, at least one: the worker leaves one core to the server."""
    own = torch.get_num_threads()
    torch.set_num_threads(max(1, own - 1))
    try:
        yield
    finally:
        torch.set_num_threads(own)


def _asked(client: Client, request: bytes) -> None:
    answer = client.exchange(request)
    if answer.status != 200:
        raise RuntimeError(f"a single pair was answered with status {answer.status}; no latency reported")


def _milliseconds(seconds: Sequence[float]) -> list[float]:
    return [1e3 * value for value in seconds[_WARM_UP:]]
