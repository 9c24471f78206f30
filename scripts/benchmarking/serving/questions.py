"""What a soak asks: requests of each dialect, with the model's own answer worked out beforehand.

What a dialect's numbers are is written down here, by kind, and not read off the server's answers: a server that took to
answering with something else that the model says would be right by its own word.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from scripts.benchmarking.serving.agreement import difference, read_vectors
from scripts.benchmarking.serving.wire import post_request
from scripts.benchmarking.serving.workload import json_bytes
from simlstm.models.similarity import SimilarityModel

Floats = npt.NDArray[np.float32]

# float32 values around 1 that were computed among other sentences, in other products: seen up to 1.2e-6 in a vector.
TOLERANCE = 1e-5


class Meaning(StrEnum):
    """What a dialect's numbers are."""

    embedding = "the embedding"
    unit_embedding = "the embedding at length 1"
    score = "the pair head's score"
    relevance = "the pair head's score, from 0 to 1"


@dataclass(frozen=True)
class Question:
    """One request.

    Args:
        kind: Name of its kind.
        request: Ready to be sent.
        read: Takes an answer's JSON apart: an array of all its numbers, in the order of the request.
        right: The right value of each number.
    """

    kind: str
    request: bytes
    read: Callable[[Any], npt.ArrayLike]
    right: Floats


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
        meaning: What its numbers must be.
    """

    name: str
    path: str
    first: int
    second: int
    body: Callable[[list[str], list[str], str], dict[str, Any]]
    read: Callable[[Any], npt.ArrayLike]
    meaning: Meaning = Meaning.score
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
        lambda a, _, name: {"model": name, "input": a}, read_vectors, Meaning.embedding,
    ),
    Kind(
        "embeddings, base64", "/v1/embeddings", 8, 0,
        lambda a, _, name: {"model": name, "input": a, "encoding_format": "base64"}, read_vectors,
        Meaning.embedding,
    ),
    Kind("embed", "/embed", 8, 0, lambda a, _, __: {"inputs": a}, np.asarray, Meaning.unit_embedding),
    Kind(
        "embed, not normalized", "/embed", 3, 0,
        lambda a, _, __: {"inputs": a, "normalize": False}, np.asarray, Meaning.embedding,
    ),
    Kind(
        "sentence similarity", "/similarity", 1, 6,
        lambda a, b, _: {"inputs": {"source_sentence": a[0], "sentences": b}}, np.asarray,
    ),
    Kind(
        "rerank", "/rerank", 1, 9,
        lambda a, b, _: {"query": a[0], "texts": b}, _ranked("score"), Meaning.relevance,
    ),
    Kind(
        "v1 rerank", "/v1/rerank", 1, 9,
        lambda a, b, name: {"model": name, "query": a[0], "documents": b}, _ranked("relevance_score", "results"),
        Meaning.relevance,
    ),
    Kind(
        "v2 rerank", "/v2/rerank", 1, 9,
        lambda a, b, name: {"model": name, "query": a[0], "documents": b}, _ranked("relevance_score", "results"),
        Meaning.relevance,
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
        questions.append(Question(kind.name, post_request(kind.path, body), kind.read, values[number]))
    return questions


def _values(kind: Kind, model: SimilarityModel, vectors: Floats) -> Floats:
    """Work out what is right for all questions, [questions, numbers] or [questions, texts, D].

    Args:
        kind: Which.
        model: Scores pairs.
        vectors: float32 [questions, texts, D].
    """
    if kind.meaning is Meaning.embedding:
        return vectors
    if kind.meaning is Meaning.unit_embedding:
        lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
        scaled: Floats = (vectors / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
        return scaled
    first, second = vectors[:, : kind.first], vectors[:, kind.first :]
    if not kind.pairwise:
        first, second = np.repeat(first, kind.second, axis=1), np.tile(second, (1, kind.first, 1))
    shape, width = first.shape[:2], first.shape[2]
    scores: Floats = model.score_embeddings(first.reshape(-1, width), second.reshape(-1, width)).reshape(shape)
    # The other heads' scores lie from 0 to 1 by themselves.
    if kind.meaning is Meaning.relevance and model.config.head == "cosine":
        return ((scores + 1) / 2).astype(np.float32)
    return scores


def check_first(kind: Kind, question: Question, answer: Any) -> None:
    """See that a route answers with what its kind says, before the long run.

    Raises:
        RuntimeError: when it does not.
    """
    found = difference(question.read(answer), question.right)
    if found > TOLERANCE:
        raise RuntimeError(
            f"{kind.name}: the first answer is not {kind.meaning}: off by {found:.2g}, {TOLERANCE:.0e} is allowed"
        )
