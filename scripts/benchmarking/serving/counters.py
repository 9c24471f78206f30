"""What our server says of its cache."""

import re
from typing import NamedTuple

from scripts.benchmarking.serving.servers import Server
from scripts.benchmarking.serving.wire import Client, get_request

_COUNTER = re.compile(r"^simlstm_cache_(hits|misses)_total(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


class CacheCounts(NamedTuple):
    """Sentences since the server started, of all its models.

    Args:
        cached: Answered from the cache.
        computed: By the encoder.
    """

    cached: int
    computed: int


def cache_counts(server: Server) -> CacheCounts | None:
    """Ask ``/metrics``; None when it does not count both."""
    client = Client(server.url)
    try:
        return read_counts(client.exchange(get_request("/metrics")).body.decode())
    finally:
        client.close()


def read_counts(text: str) -> CacheCounts | None:
    """Read both counters; None when one is missing."""
    counted: dict[str, int] = {}
    for name, number in _COUNTER.findall(text):
        counted[name] = counted.get(name, 0) + int(float(number))  # a large one is written as 1.5e+06
    if counted.keys() != {"hits", "misses"}:
        return None
    return CacheCounts(counted["hits"], counted["misses"])
