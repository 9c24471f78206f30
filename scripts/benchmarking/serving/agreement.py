"""Before anything is timed: each server gives what it is taken for."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.benchmarking.serving.plain import ROUTE
from scripts.benchmarking.serving.servers import Server
from scripts.benchmarking.serving.wire import Client, post_request
from scripts.benchmarking.serving.workload import EMBEDDINGS, INFINITY_EMBEDDINGS, SIMILARITY, Workload, json_bytes
from simlstm.models.similarity import SimilarityModel

# Ours computes what the model computes, in float32, among other sentences: rounding of values around 1.
OWN_TOLERANCE = 1e-5
# The plain route adds in another order, through a layer and a head that magnify it.
PLAIN_TOLERANCE = 1e-4
# infinity may compute in less than float32; another model's vectors would be off by far more.
LENGTH_TOLERANCE = 1e-3
_REQUESTS = 32


def check_ours(server: Server, workload: Workload, model: SimilarityModel) -> float:
    """Compare scores and vectors, single and in batches, with the model's own; return the largest difference.

    Raises:
        RuntimeError: when they differ.
    """
    client = Client(server.url)
    try:
        differences = []
        bodies = [*workload.single_pairs()[:_REQUESTS], workload.pair_batches()[0]]
        for body in bodies:
            answer = client.ask(post_request(SIMILARITY, json_bytes(body)), f"{server.name} {SIMILARITY}")
            right = model.score(_as_list(body["sentence1"]), _as_list(body["sentence2"]))
            differences.append(difference([result["score"] for result in answer["results"]], right))
        for encoding in ("float", "base64"):
            body = workload.embedding_batches(encoding_format=encoding)[0]
            answer = client.ask(post_request(EMBEDDINGS, json_bytes(body)), f"{server.name} {EMBEDDINGS}")
            differences.append(difference(read_vectors(answer), model.encode(body["input"])))
    finally:
        client.close()
    return _allowed(server.name, max(differences), OWN_TOLERANCE, "the model itself")


def check_plain(server: Server, workload: Workload, model: SimilarityModel) -> float:
    """Compare the plain route's scores with the model's; return the largest difference.

    Raises:
        RuntimeError: when they differ.
    """
    client = Client(server.url)
    try:
        pairs, bodies = workload.pairs[:_REQUESTS], workload.single_pairs()[:_REQUESTS]
        scores = [client.ask(post_request(ROUTE, json_bytes(body)), server.name)["score"] for body in bodies]
    finally:
        client.close()
    right = model.score([first for first, _ in pairs], [second for _, second in pairs])
    return _allowed(server.name, difference(scores, right), PLAIN_TOLERANCE, "the model itself")


def check_infinity(server: Server, workload: Workload) -> float:
    """See that a sentence encoder answers: vectors of length 1, the same in both encodings; return the largest error.

    Raises:
        RuntimeError: when they are not.
    """
    client = Client(server.url)
    try:
        vectors = []
        for encoding in ("float", "base64"):
            body = workload.embedding_batches(encoding_format=encoding, model="peer")[0]
            answer = client.ask(post_request(INFINITY_EMBEDDINGS, json_bytes(body)), server.name)
            vectors.append(read_vectors(answer))
    finally:
        client.close()
    lengths = difference(np.linalg.norm(vectors[0], axis=1), np.ones(len(vectors[0]), np.float32))
    worst = max(lengths, difference(vectors[0], vectors[1]))
    return _allowed(server.name, worst, LENGTH_TOLERANCE, "vectors of length 1, alike in both encodings")


def read_vectors(answer: dict[str, Any]) -> npt.NDArray[np.float32]:
    """Read the vectors of an answer in OpenAI's shape, floats or base64, float32 [n, D]."""
    rows = [item["embedding"] for item in sorted(answer["data"], key=lambda item: item["index"])]
    return np.array(
        [np.frombuffer(base64.b64decode(row), "<f4") if isinstance(row, str) else row for row in rows], np.float32
    )


def difference(values: npt.ArrayLike, right: npt.NDArray[np.float32]) -> float:
    """Return the largest absolute difference; infinite when the shapes differ or a value is no number."""
    array = np.asarray(values, np.float32)
    if array.shape != right.shape or not np.isfinite(array).all():
        return float("inf")
    return float(np.abs(array - right).max(initial=0.0))


def _allowed(name: str, found: float, allowed: float, what: str) -> float:
    if found > allowed:
        raise RuntimeError(f"{name} differs from {what} by {found:.2g}, {allowed:.0e} is allowed; no speed reported")
    return found


def _as_list(sentences: str | Sequence[str]) -> list[str]:
    return [sentences] if isinstance(sentences, str) else list(sentences)
