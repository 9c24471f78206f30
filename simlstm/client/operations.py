"""What the clients can do, each as a generator of what is sent (``exchange``), without any input or output."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, FiniteFloat, ValidationError

from simlstm.client.errors import ConnectionFailedError, InvalidAnswerError, TimedOutError, UnavailableError
from simlstm.client.exchange import Answer, Call, Steps, exchange
from simlstm.client.failures import failure_of
from simlstm.client.patience import Retries, Timeouts
from simlstm.client.results import Health, Info, Matrix, Ranking, ServedModel, Similarities
from simlstm.client.splitting import slices, write

Texts = str | Sequence[str]
_Shape = TypeVar("_Shape", bound=BaseModel)


class _ModelList(BaseModel):
    data: tuple[ServedModel, ...]


class _MatrixAnswer(BaseModel):
    model: str
    scores: list[list[FiniteFloat]]
    probabilities: list[list[FiniteFloat]] | None = None


class _Embedding(BaseModel):
    index: int
    embedding: str


class _Embeddings(BaseModel):
    data: list[_Embedding]


class Operations:
    """Requests and the reading of their answers.

    Args:
        timeouts: of each request.
        retries: of each request.
    """

    def __init__(self, timeouts: Timeouts, retries: Retries) -> None:
        self._timeouts = timeouts
        self._retries = retries
        self._infos: dict[str | None, Info] = {}

    def similarity(
        self, a: Texts, b: Texts, model: str | None, deadline_ms: int | None, *, explain: bool
    ) -> Steps[Similarities]:
        """Score one against one, one against many, or pair by pair, in one request."""
        first, second = _plain(a), _plain(b)
        body = _given(
            sentence1=first, sentence2=second, model=model, deadline_ms=deadline_ms, explain=True if explain else None
        )
        answer = yield from self._ask("/v1/similarity", body)
        similarities = _read(Similarities, "POST /v1/similarity", answer)
        lengths = [len(texts) for texts in (first, second) if isinstance(texts, list)]
        _check_order("POST /v1/similarity", [result.index for result in similarities.results], max(lengths, default=1))
        return similarities

    def matrix(self, a: Sequence[str], b: Sequence[str], model: str | None, deadline_ms: int | None) -> Steps[Matrix]:
        """Score each of many against each of many, in one request."""
        first, second = _listed(a, "a"), _listed(b, "b")
        body = _given(sentences1=first, sentences2=second, model=model, deadline_ms=deadline_ms)
        answer = yield from self._ask("/v1/similarity/matrix", body)
        name = "POST /v1/similarity/matrix"
        table = _read(_MatrixAnswer, name, answer)
        shape = (len(first), len(second))
        probabilities = None if table.probabilities is None else _grid(name, table.probabilities, shape)
        return Matrix(table.model, _grid(name, table.scores, shape), probabilities)

    def embed(self, texts: Sequence[str], model: str | None) -> Steps[NDArray[np.float32]]:
        """Embed texts, in as many requests as the server's limits ask for."""
        wanted = _listed(texts, "texts")
        limits = yield from self._limits(model)
        name = model or limits.model_id
        # The width of no embedding is that of one.
        asked = wanted or [""]
        frame = len(write({"model": name, "input": [], "encoding_format": "base64"}))
        runs = slices(
            [len(write(text)) for text in asked],
            most_items=limits.max_client_batch_size,
            most_bytes=limits.max_body_bytes - frame,
        )
        rows: list[NDArray[np.float32]] = []
        for run in runs:
            body = {"model": name, "input": asked[run], "encoding_format": "base64"}
            answer = yield from self._ask("/v1/embeddings", body)
            rows += _vectors(answer, len(asked[run]))
        if len({row.size for row in rows}) > 1:
            raise InvalidAnswerError("POST /v1/embeddings: the embeddings differ in width", status=200)
        return np.stack(rows)[: len(wanted)]

    def score(self, a: Sequence[str], b: Sequence[str], model: str | None) -> Steps[NDArray[np.float32]]:
        """Score pair by pair, in as many requests as the server's limits ask for."""
        first, second = _listed(a, "a"), _listed(b, "b")
        if len(first) != len(second):
            raise ValueError(f"a has {len(first)} sentences and b has {len(second)}; pairs need as many of both")
        limits = yield from self._limits(model)
        frame = len(write(_given(sentence1=[], sentence2=[], model=model)))
        runs = slices(
            [len(write(one)) + len(write(other)) + 1 for one, other in zip(first, second, strict=True)],
            most_items=max(1, limits.max_client_batch_size // 2),
            most_bytes=limits.max_body_bytes - frame,
        )
        scores = [np.empty(0, dtype=np.float32)]
        for run in runs:
            answers = yield from self.similarity(first[run], second[run], model, None, explain=False)
            scores.append(answers.scores)
        return np.concatenate(scores)

    def rerank(self, query: str, documents: Sequence[str], top_n: int | None, model: str | None) -> Steps[Ranking]:
        """Order documents by their similarity to a query, in one request."""
        listed = _listed(documents, "documents")
        name = model or (yield from self._limits(None)).model_id
        answer = yield from self._ask("/v1/rerank", _given(model=name, query=query, documents=listed, top_n=top_n))
        ranking = _read(Ranking, "POST /v1/rerank", answer)
        places = {result.index for result in ranking.results}
        if len(places) != len(ranking.results) or not places <= set(range(len(listed))):
            raise InvalidAnswerError("POST /v1/rerank: the places are not those of the documents", status=200)
        return ranking

    def models(self) -> Steps[tuple[ServedModel, ...]]:
        """List the served models."""
        answer = yield from self._exchange(Call("GET", "/v1/models"))
        return _read(_ModelList, "GET /v1/models", answer).data

    def info(self, model: str | None) -> Steps[Info]:
        """Ask for a model and its limits, and keep them for what is split by them."""
        query = "" if model is None else f"?model={quote(model, safe='', errors='replace')}"
        answer = yield from self._exchange(Call("GET", f"/info{query}"))
        self._infos[model] = found = _read(Info, "GET /info", answer)
        return found

    def ready(self) -> Steps[bool]:
        """Ask once whether the server wants traffic; what passes, a server that is not there for one, is a no."""
        try:
            yield from self._exchange(Call("GET", "/readyz", once=True))
        except (UnavailableError, ConnectionFailedError, TimedOutError):
            return False
        return True

    def health(self) -> Steps[Health]:
        """Ask once whether the server can compute; 503 with a reason is an answer, too."""
        answer = yield from self._exchange(Call("GET", "/health", good=frozenset({200, 503}), once=True))
        try:
            return Health.model_validate_json(answer.content)
        except ValidationError:
            raise failure_of("GET /health", answer.status, answer.headers, answer.content, None) from None

    def _limits(self, model: str | None) -> Steps[Info]:
        known = self._infos.get(model)
        return known if known is not None else (yield from self.info(model))

    def _ask(self, path: str, body: dict[str, Any]) -> Steps[Answer]:
        return (yield from self._exchange(Call("POST", path, write(body))))

    def _exchange(self, call: Call) -> Steps[Answer]:
        return exchange(call, self._timeouts, self._retries)


def _plain(texts: Texts) -> str | list[str]:
    return texts if isinstance(texts, str) else list(texts)


def _listed(texts: Sequence[str], name: str) -> list[str]:
    if isinstance(texts, str):
        raise ValueError(f"{name} is one string; a sequence of strings is needed")
    return list(texts)


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _read(shape: type[_Shape], name: str, answer: Answer) -> _Shape:
    try:
        return shape.model_validate_json(answer.content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        # The failure of validation would show the answer's content in a traceback.
        raise InvalidAnswerError(
            f"{name}: the answer is not of the expected shape: {place}: {first['msg']}",
            status=answer.status,
            request_id=answer.headers.get("x-request-id"),
        ) from None


def _check_order(name: str, indices: list[int], count: int) -> None:
    if indices != list(range(count)):
        raise InvalidAnswerError(
            f"{name}: {len(indices)} results came, not one for each of {count} in order", status=200
        )


def _grid(name: str, rows: list[list[float]], shape: tuple[int, int]) -> NDArray[np.float32]:
    if len(rows) != shape[0] or any(len(row) != shape[1] for row in rows):
        raise InvalidAnswerError(f"{name}: the answer is not of {shape[0]} rows and {shape[1]} columns", status=200)
    return np.array(rows, dtype=np.float32)


def _vectors(answer: Answer, count: int) -> list[NDArray[np.float32]]:
    name = "POST /v1/embeddings"
    data = _read(_Embeddings, name, answer).data
    _check_order(name, [entry.index for entry in data], count)
    try:
        rows = [np.frombuffer(base64.b64decode(entry.embedding, validate=True), dtype="<f4") for entry in data]
    except (binascii.Error, ValueError):
        raise InvalidAnswerError(f"{name}: an embedding is not base64 of float32 numbers", status=200) from None
    if not all(row.size and np.isfinite(row).all() for row in rows):
        raise InvalidAnswerError(f"{name}: an embedding is empty or holds a number that is not finite", status=200)
    return [row.astype(np.float32, copy=False) for row in rows]
