"""What a soak asks: requests of each dialect, with the model's own answer worked out beforehand.

The server is a black box, so what a dialect's number *is* (the pair head's score, a cosine, a probability) is found out
by its first answer: ``MEANINGS`` are tried in their order, and one that fits must fit all later answers.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.benchmarking.serving.agreement import read_vectors
from scripts.benchmarking.serving.wire import post_request
from scripts.benchmarking.serving.workload import json_bytes
from simlstm.models.similarity import SimilarityModel

Floats = npt.NDArray[np.float32]

# float32 values around 1 that were computed among other sentences, in other products: seen up to 1.2e-6 in a vector.
TOLERANCE = 1e-5
# What rounding may do to a score before something steep, such as a calibration with steps, is made of it.
_ROUNDING = 2e-6


@dataclass(frozen=True)
class Question:
    """One request.

    Args:
        kind: Name of its kind.
        request: Ready to be sent.
        read: Takes an answer's JSON apart: an array of all its numbers, in the order of the request.
        candidates: By meaning, the lowest and the highest right value of each number.
    """

    kind: str
    request: bytes
    read: Callable[[Any], npt.ArrayLike]
    candidates: dict[str, tuple[Floats, Floats]]


@dataclass(frozen=True)
class Kind:
    """One kind of request of one dialect.

    Args:
        name: What to call it.
        path: Its route.
        first: Texts of the first side; of a batch to embed, all of them.
        second: Texts of the second side; 0 for a batch to embed.
        pairwise: Whether the sides are compared one by one; else each of the first with each of the second.
        body: From both sides and the model's name, the request.
        read: See ``Question``.
    """

    name: str
    path: str
    first: int
    second: int
    body: Callable[[list[str], list[str], str], dict[str, Any]]
    read: Callable[[Any], npt.ArrayLike]
    pairwise: bool = False


def _by_index(field: str, items: str | None = None) -> Callable[[Any], list[float]]:
    def read(answer: Any) -> list[float]:
        results = answer if items is None else answer[items]
        return [result[field] for result in sorted(results, key=lambda result: result["index"])]

    return read


def _ranked(field: str, items: str | None = None) -> Callable[[Any], list[float]]:
    in_order = _by_index(field, items)

    def read(answer: Any) -> list[float]:
        scores = [result[field] for result in (answer if items is None else answer[items])]
        if scores != sorted(scores, reverse=True):
            raise ValueError("the results are not sorted by their score")
        return in_order(answer)

    return read


def _matrix(answer: Any) -> npt.ArrayLike:
    """Read a matrix row by row."""
    return [score for row in answer["scores"] for score in row]


_SIMILARITY = _by_index("score", "results")
KINDS = (
    Kind(
        "similarity, one to one", "/v1/similarity", 1, 1,
        lambda a, b, _: {"sentence1": a[0], "sentence2": b[0]}, _SIMILARITY,
    ),
    Kind(
        "similarity, one to many", "/v1/similarity", 1, 7,
        lambda a, b, _: {"sentence1": a[0], "sentence2": b}, _SIMILARITY,
    ),
    Kind(
        "similarity, pairwise", "/v1/similarity", 16, 16,
        lambda a, b, _: {"sentence1": a, "sentence2": b}, _SIMILARITY, pairwise=True,
    ),
    Kind(
        "similarity, matrix", "/v1/similarity/matrix", 5, 6,
        lambda a, b, _: {"sentences1": a, "sentences2": b}, _matrix,
    ),
    Kind(
        "embeddings", "/v1/embeddings", 8, 0,
        lambda a, _, name: {"model": name, "input": a}, read_vectors,
    ),
    Kind(
        "embeddings, base64", "/v1/embeddings", 8, 0,
        lambda a, _, name: {"model": name, "input": a, "encoding_format": "base64"}, read_vectors,
    ),
    Kind("embed", "/embed", 8, 0, lambda a, _, __: {"inputs": a}, np.asarray),
    Kind(
        "embed, not normalized", "/embed", 3, 0,
        lambda a, _, __: {"inputs": a, "normalize": False}, np.asarray,
    ),
    Kind(
        "sentence similarity", "/similarity", 1, 6,
        lambda a, b, _: {"inputs": {"source_sentence": a[0], "sentences": b}}, np.asarray,
    ),
    Kind("rerank", "/rerank", 1, 9, lambda a, b, _: {"query": a[0], "texts": b}, _ranked("score")),
    Kind(
        "v1 rerank", "/v1/rerank", 1, 9,
        lambda a, b, name: {"model": name, "query": a[0], "documents": b}, _ranked("relevance_score", "results"),
    ),
    Kind(
        "v2 rerank", "/v2/rerank", 1, 9,
        lambda a, b, name: {"model": name, "query": a[0], "documents": b}, _ranked("relevance_score", "results"),
    ),
    Kind(
        "score", "/v1/score", 4, 4,
        lambda a, b, name: {"model": name, "text_1": a, "text_2": b}, _by_index("score", "data"), pairwise=True,
    ),
)  # fmt: skip


def make_questions(
    kind: Kind,
    model: SimilarityModel,
    name: str,
    sentences: Sequence[str],
    embeddings: Floats,
    *,
    count: int,
    seed: int = 0,
) -> list[Question]:
    """Draw requests of one kind and work out what is right.

    Args:
        kind: Which.
        model: The served checkpoint, in this process.
        name: What the server calls it.
        sentences: Where the texts are drawn from.
        embeddings: What the model makes of them, float32 [n, D].
        count: How many requests.
        seed: Of the draws.
    """
    draws = random.Random(f"{seed} {kind.name}")  # noqa: S311 - a benchmark, no secret
    places = [draws.choices(range(len(sentences)), k=kind.first + kind.second) for _ in range(count)]
    # All at once: the head of a handful of pairs costs as much as that of a thousand.
    values = _values(kind, model, embeddings[np.array(places)])
    questions = []
    for number, chosen in enumerate(places):
        texts = [sentences[place] for place in chosen]
        body = json_bytes(kind.body(texts[: kind.first], texts[kind.first :], name))
        right = {meaning: (low[number], high[number]) for meaning, (low, high) in values.items()}
        questions.append(Question(kind.name, post_request(kind.path, body), kind.read, right))
    return questions


def _values(kind: Kind, model: SimilarityModel, vectors: Floats) -> dict[str, tuple[Floats, Floats]]:
    """Work out each meaning's bounds for all questions, [questions, numbers] or [questions, texts, D].

    Args:
        kind: Which.
        model: Scores pairs.
        vectors: float32 [questions, texts, D].
    """
    if not kind.second:
        lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
        scaled = (vectors / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
        return {"the embedding": (vectors, vectors), "the embedding at length 1": (scaled, scaled)}
    first, second = vectors[:, : kind.first], vectors[:, kind.first :]
    if not kind.pairwise:
        first, second = np.repeat(first, kind.second, axis=1), np.tile(second, (1, kind.first, 1))
    shape, width = first.shape[:2], first.shape[2]
    first, second = first.reshape(-1, width), second.reshape(-1, width)
    scores = model.score_embeddings(first, second).reshape(shape)
    cosines = model.similarity_pairwise(first, second).numpy().reshape(shape)
    values = {
        "the pair head's score": (scores, scores),
        "the cosine": (cosines, cosines),
        "the cosine from 0 to 1": ((cosines + 1) / 2, (cosines + 1) / 2),
        "the score, at least 0": (scores.clip(0), scores.clip(0)),
        "the cosine, at least 0": (cosines.clip(0), cosines.clip(0)),
    }
    if model.calibration is not None:
        low, high = model.probability_of(scores - _ROUNDING), model.probability_of(scores + _ROUNDING)
        values["the calibrated probability"] = (np.minimum(low, high), np.maximum(low, high))
    return values


def distance(values: npt.ArrayLike, bounds: tuple[Floats, Floats]) -> float:
    """Return how far numbers lie outside of what is right; infinite when their shape is another or one is no number."""
    array = np.asarray(values, np.float32)
    low, high = bounds
    if array.shape != low.shape or not np.isfinite(array).all():
        return float("inf")
    return float(np.maximum(low - array, array - high).clip(0).max(initial=0.0))


def meaning_of(question: Question, answer: Any) -> str:
    """Find out what a dialect's numbers are.

    Raises:
        RuntimeError: when they are nothing that the model says about these texts.
    """
    values = question.read(answer)
    found = {name: distance(values, bounds) for name, bounds in question.candidates.items()}
    closest = min(found, key=lambda name: found[name])
    if found[closest] > TOLERANCE:
        raise RuntimeError(
            f"{question.kind}: the first answer is none of {', '.join(found)}; {closest} is nearest and off by "
            f"{found[closest]:.2g}, {TOLERANCE:.0e} is allowed"
        )
    return next(name for name in found if found[name] <= TOLERANCE)
