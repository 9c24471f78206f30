"""The client for threads: every method waits for its answer."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TypeVar

import httpx
import numpy as np
from numpy.typing import NDArray

from simlstm.client.connection import POOL, address_of, headers_of, retries_of, timeouts_of
from simlstm.client.exchange import Answer, Attempt, Reply, Steps
from simlstm.client.operations import Operations, Texts
from simlstm.client.patience import Retries, Timeouts
from simlstm.client.results import Health, Info, Matrix, Ranking, ServedModel, Similarities

_Result = TypeVar("_Result")


class Client:
    """Asks a server; it may be used from several threads at once.

    Every method raises ``ServerError`` or one of its subclasses when there is no good answer, and ``ValueError`` for
    arguments that no server could answer.

    Args:
        base_url: the server's address, such as ``http://127.0.0.1:8000``.
        api_key: for servers that ask for one.
        timeout: a number is the time of one request with all its attempts, in seconds.
        retries: a number is how many attempts may follow the first one.

    Raises:
        ValueError: when one of them is not usable.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout: Timeouts | float = Timeouts(),  # noqa: B008  # frozen
        retries: Retries | int = Retries(),  # noqa: B008  # frozen
    ) -> None:
        self._address = address_of(base_url)
        self._operations = Operations(timeouts_of(timeout), retries_of(retries))
        self._http = httpx.Client(headers=headers_of(api_key), http2=False, limits=POOL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the client cannot be used any more."""
        self._http.close()

    def similarity(
        self,
        a: Texts,
        b: Texts,
        *,
        model: str | None = None,
        deadline_ms: int | None = None,
        explain: bool = False,
    ) -> Similarities:
        """Compare one sentence with one, one with many, or as many with as many, pair by pair, in one request.

        Args:
            a: first sentences.
            b: second sentences.
            model: name of a served model; None is the server's first one.
            deadline_ms: time that the server may take for each attempt.
            explain: whether to say of each pair which words made its score.
        """
        return self._run(self._operations.similarity(a, b, model, deadline_ms, explain=explain))

    def matrix(
        self, a: Sequence[str], b: Sequence[str], *, model: str | None = None, deadline_ms: int | None = None
    ) -> Matrix:
        """Compare each sentence of ``a`` with each of ``b``, in one request; arguments as for ``similarity``."""
        return self._run(self._operations.matrix(a, b, model, deadline_ms))

    def embed(self, texts: Sequence[str], *, model: str | None = None) -> NDArray[np.float32]:
        """Return the embeddings of texts, [n, D] float32, asking for as many at once as the server takes."""
        return self._run(self._operations.embed(texts, model))

    def score(self, a: Sequence[str], b: Sequence[str], *, model: str | None = None) -> NDArray[np.float32]:
        """Return the scores of pairs, [n] float32, asking for as many at once as the server takes."""
        return self._run(self._operations.score(a, b, model))

    def rerank(
        self, query: str, documents: Sequence[str], top_n: int | None = None, *, model: str | None = None
    ) -> Ranking:
        """Order documents by their similarity to a query, the most similar one first, in one request.

        Args:
            query: what the documents are compared with.
            documents: texts.
            top_n: how many of them to tell; None is all.
            model: name of a served model; None is the server's first one.
        """
        return self._run(self._operations.rerank(query, documents, top_n, model))

    def models(self) -> tuple[ServedModel, ...]:
        """Return the served models."""
        return self._run(self._operations.models())

    def info(self, *, model: str | None = None) -> Info:
        """Return what the server says of a model and its limits.

        ``embed`` and ``score`` ask for the limits of their model once; after a change, this brings the new ones.

        Args:
            model: name of a served model; None is the server's first one.
        """
        return self._run(self._operations.info(model))

    def ready(self) -> bool:
        """Return whether the server wants traffic; it is asked once, and a server that is not there is not ready."""
        return self._run(self._operations.ready())

    def health(self) -> Health:
        """Return whether the server can compute, and if not, why; it is asked once."""
        return self._run(self._operations.health())

    def _run(self, steps: Steps[_Result]) -> _Result:
        try:
            attempt = next(steps)
            while True:
                time.sleep(attempt.pause)
                attempt = steps.send(self._reply(attempt))
        except StopIteration as end:
            result: _Result = end.value
            return result

    def _reply(self, attempt: Attempt) -> Reply:
        call, url = attempt.call, self._address + attempt.call.path
        try:
            with self._http.stream(
                call.method, url, content=call.body, headers=attempt.headers, timeout=attempt.limits
            ) as response:
                content = bytearray()
                # The transport bounds each piece's time; an answer that drips in is bounded here.
                for piece in response.iter_bytes():
                    content += piece
                    if time.monotonic() > attempt.end:
                        return TimeoutError()
        except httpx.HTTPError as error:
            return error
        return Answer(response.status_code, response.headers, bytes(content))
