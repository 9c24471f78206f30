"""Tokenizing for clients, beside the worker's own: in one thread, since a tokenizer may be used from one at a time."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from api.errors import ApiError
from api.facts import Facts
from api.settings import Settings
from simlstm.text.tokenizer import Tokenization


class Tokenizing:
    """The thread that tokenizes, with a bound on what waits for it.

    Args:
        settings: of the server; its bounds on waiting sentences and time hold here, too.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._waiting = 0
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="tokenizing")

    async def tokenize(self, model: Facts, texts: Sequence[str]) -> list[Tokenization]:
        """Cut texts into all their tokens, those beyond the model's limit included.

        Raises:
            ApiError: 429 when too much waits, 504 when the server's own deadline passes.
        """
        if self._waiting + len(texts) > self._settings.max_waiting_sentences:
            raise ApiError(429, "overloaded", "too many texts wait for the tokenizer", headers={"Retry-After": "1"})
        self._waiting += len(texts)
        future = asyncio.get_running_loop().run_in_executor(self._executor, model.tokenizer.tokenize, texts)
        future.add_done_callback(lambda _: self._done(len(texts)))
        milliseconds = self._settings.default_deadline_ms
        try:
            return await asyncio.wait_for(future, milliseconds / 1000)
        except TimeoutError:
            message = f"no answer within the deadline of {milliseconds} ms"
            raise ApiError(504, "deadline_exceeded", message) from None

    def _done(self, texts: int) -> None:
        self._waiting -= texts
