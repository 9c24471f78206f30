"""What both clients tell of requests that get no good answer."""

import asyncio
import socket
import threading

import pytest

from simlstm.client import (
    AsyncClient,
    AuthenticationError,
    Client,
    ConnectionFailedError,
    DeadlineExceededError,
    InvalidAnswerError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    Retries,
    ServerError,
    TimedOutError,
    Timeouts,
    UnavailableError,
)
from tests.api.live import LiveServer, until
from tests.api.tiny import SENTENCES, AllergicModel, build_model
from tests.client.live_answers import answering

PAIR = ("similarity", "dog", "park")


def test_what_the_server_refuses_names_the_field(ask):
    with pytest.raises(InvalidRequestError, match="equally long") as caught:
        ask.call("similarity", ["a", "b"], ["c"])
    assert (caught.value.status, caught.value.code) == (422, "invalid_request")
    assert caught.value.request_id in str(caught.value)
    with pytest.raises(InvalidRequestError, match="sentence2 is an empty array") as caught:
        ask.call("similarity", "a", [])
    assert caught.value.field == "sentence2"


def test_openais_error_body_is_read_too(ask):
    with pytest.raises(InvalidRequestError, match="null") as caught:
        ask.call("embed", ["a", None])
    assert (caught.value.status, caught.value.field) == (400, "input")


def test_keys(kind, model):
    with LiveServer(model, api_keys="sesame") as server:
        assert kind(server.url, api_key="sesame").call("score", ["dog"], ["dog"]).shape == (1,)
        for options in ({}, {"api_key": "wrong"}):
            with pytest.raises(AuthenticationError, match="API key") as caught:
                kind(server.url, **options).call(*PAIR)
            assert caught.value.status == 401


def test_a_failing_model_is_not_asked_again(kind):
    with LiveServer(build_model(AllergicModel)) as server:
        with pytest.raises(ServerError) as caught:
            kind(server.url).call("similarity", AllergicModel.POISON, "dog")
        assert type(caught.value) is ServerError
        assert (caught.value.status, caught.value.code) == (500, "model_failed")
        assert server.app.state.service.metrics.render().count(b'status="500"} 1.0') == 1


def test_the_deadline_of_the_server(kind, gated):
    with LiveServer(gated) as server:
        gated.gate.clear()
        gated.gate.forget()
        with pytest.raises(DeadlineExceededError, match="50 ms") as caught:
            kind(server.url).call(*PAIR, deadline_ms=50)
        gated.gate.set()
        assert caught.value.status == 504
        assert len(gated.calls) == 1


def test_overload_that_lasts(kind, gated):
    with LiveServer(gated, max_waiting_sentences=2, max_request_sentences=2) as server, Client(server.url) as other:
        gated.gate.forget()
        gated.gate.clear()
        waiter = threading.Thread(target=other.similarity, args=SENTENCES[:2])
        waiter.start()
        until(lambda: len(gated.calls) == 1)
        with pytest.raises(OverloadedError, match="queue is full") as caught:
            kind(server.url, retries=0).call(*PAIR)
        assert caught.value.retry_after >= 1
        assert not kind(server.url).call("ready")
        timer = threading.Timer(0.3, gated.gate.set)
        timer.start()
        # Asked again after what the server wants, it has room.
        assert kind(server.url).call(*PAIR).scores.shape == (1,)
        for thread in (waiter, timer):
            thread.join()


def test_a_dead_worker(kind):
    with LiveServer(build_model(AllergicModel), restart_limit=0) as server:
        client = kind(server.url, retries=0)
        assert client.call("ready")
        assert client.call("health").status == "ok"
        with pytest.raises(UnavailableError):
            client.call("similarity", AllergicModel.DEADLY, "dog")
        health = client.call("health")
        assert health.status == "unavailable"
        assert health.reason
        assert not client.call("ready")


def test_a_server_that_is_not_there(kind):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    client = kind(url, retries=Retries(most=2, base=0.01))
    with pytest.raises(ConnectionFailedError, match="POST /v1/similarity") as caught:
        client.call(*PAIR)
    assert caught.value.status is None
    with pytest.raises(ConnectionFailedError):
        client.call("health")
    assert not client.call("ready")


def test_a_server_that_never_answers(kind):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for timeout in (0.2, Timeouts(read=0.2), Timeouts(total=0.2)):
            with pytest.raises(TimedOutError):
                kind(url, timeout=timeout).call(*PAIR)


def test_an_answer_that_drips_in_is_given_up(kind):
    def drip():
        connection, _ = dripping.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n")
            for _ in range(200):
                if gone.wait(0.02):
                    break
                connection.sendall(b" ")

    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as dripping:
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(TimedOutError):
                kind(f"http://127.0.0.1:{dripping.getsockname()[1]}", timeout=0.3).call(*PAIR)
        finally:
            gone.set()
            thread.join()


def test_what_is_not_the_server_is_not_merely_unready(kind):
    with answering((404, {}, {})) as script, pytest.raises(NotFoundError, match="GET /readyz"):
        kind(script.url).call("ready")


GOOD = {"model": "m", "results": [], "usage": {"prompt_tokens": 1, "total_tokens": 1}}
RESULT = {"index": 0, "score": 0.5, "truncated": [False, False], "unknown_ratio": [0, 0]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the body: Invalid JSON"),
        (b"<html>", "the body: Invalid JSON"),
        (b"[]", "the body: Input should be an object"),
        ({}, "model: Field required"),
        (GOOD, "0 results came"),
        (GOOD | {"results": [RESULT | {"index": 1}]}, "not one for each"),
        (GOOD | {"results": [RESULT | {"score": float("nan")}]}, "results.0.score: Input should be a finite number"),
    ],
)
def test_an_answer_that_is_none(kind, content, message):
    with answering((200, {"x-request-id": "abc"}, content)) as script:
        with pytest.raises(InvalidAnswerError, match=message):
            kind(script.url).call(*PAIR)
        assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("status", "headers", "content", "error", "message"),
    [
        (502, {"content-type": "text/html"}, b"<html>", UnavailableError, "502 Bad Gateway with text/html"),
        (504, {}, {"error": {"message": "m", "code": "gateway"}}, UnavailableError, "m"),
        (500, {}, {"error": "x"}, ServerError, "500 Internal Server Error with application/json"),
        (302, {"location": "/"}, b"", InvalidAnswerError, "302 Found"),
        (418, {}, {"message": "a teapot"}, InvalidRequestError, "a teapot"),
        (400, {}, b"[" * 100_000, InvalidRequestError, "400 Bad Request"),
        (403, {}, [], AuthenticationError, "403 Forbidden"),
        (299, {}, {}, InvalidAnswerError, "answered 299"),
    ],
)
def test_failures_of_something_else_on_the_way(kind, status, headers, content, error, message):
    with answering((status, headers, content)) as script:
        with pytest.raises(error, match=message) as caught:
            kind(script.url, retries=0).call(*PAIR)
        assert type(caught.value) is error
        assert caught.value.status == status
        assert caught.value.request_id == script.asked[0]["x-request-id"]


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"base_url": "127.0.0.1:8000"}, "an address like"),
        ({"base_url": "ftp://x"}, "an address like"),
        ({"base_url": "http://x?y=1"}, "an address like"),
        ({"api_key": "a\nb"}, "visible ASCII"),
        ({"api_key": ""}, "visible ASCII"),
        ({"timeout": 0}, "above 0"),
        ({"timeout": float("nan")}, "above 0"),
        ({"retries": -1}, "0 or more"),
    ],
)
def test_arguments_that_cannot_be_used(client, arguments, message):
    with pytest.raises(ValueError, match=message):
        client(**({"base_url": "http://127.0.0.1:1"} | arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("embed", "dog"), "texts is one string"), (("score", ["a"], ["b", "c"]), "a has 1 sentences and b has 2")],
)
def test_calls_that_no_server_could_answer(ask, arguments, message):
    with pytest.raises(ValueError, match=message):
        ask.call(*arguments)


def test_a_caller_may_cancel(server):
    async def cancelled():
        async with AsyncClient(server.url) as client:
            task = asyncio.create_task(client.embed(SENTENCES))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await client.embed(SENTENCES[:1])

    assert asyncio.run(cancelled()).shape[0] == 1
