"""The thread that tokenizes for clients: its bounds."""

import asyncio
import dataclasses
import threading

import pytest

from api.errors import ApiError
from api.settings import Settings
from api.tokenizing import Tokenizing
from simlstm.text.tokenizer import Tokenizer
from tests.api.tiny import build_model


class GatedTokenizer(Tokenizer):
    """A real tokenizer that works only while its gate is open."""

    gate = threading.Event()

    def tokenize(self, texts, *, max_tokens=None):
        assert self.gate.wait(30)
        return super().tokenize(texts, max_tokens=max_tokens)


@pytest.fixture
def facts(serve):
    model = build_model()
    service = serve(model).app.state.service
    GatedTokenizer.gate.clear()
    yield dataclasses.replace(service.find(), tokenizer=GatedTokenizer(model.tokenizer.to_json()))
    GatedTokenizer.gate.set()


def test_what_waits_is_bounded(facts):
    async def scenario():
        tokenizing = Tokenizing(Settings(max_waiting_sentences=3, max_request_sentences=2))
        first = asyncio.create_task(tokenizing.tokenize(facts, ["dog", "park"]))
        await asyncio.sleep(0)
        with pytest.raises(ApiError) as caught:
            await tokenizing.tokenize(facts, ["a", "b"])
        assert (caught.value.status_code, caught.value.headers) == (429, {"Retry-After": "1"})
        facts.tokenizer.gate.set()
        assert len(await first) == 2
        assert len(await tokenizing.tokenize(facts, ["a", "b"])) == 2

    asyncio.run(scenario())


def test_the_deadline_holds(facts):
    async def scenario():
        with pytest.raises(ApiError) as caught:
            await Tokenizing(Settings(default_deadline_ms=20)).tokenize(facts, ["dog"])
        assert caught.value.status_code == 504
        facts.tokenizer.gate.set()

    asyncio.run(scenario())
