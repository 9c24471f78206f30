"""When both clients ask again, and how long they wait."""

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlstm.client import Client, OverloadedError, Retries, TimedOutError, Timeouts
from simlstm.client.patience import retry_after_of
from simlstm.client.splitting import slices, write
from tests.api.live import LiveServer
from tests.client.live_answers import answering

ANSWER = {
    "model": "m",
    "results": [{"index": 0, "score": 0.5, "truncated": [False, False], "unknown_ratio": [0, 0]}],
    "usage": {"prompt_tokens": 2, "total_tokens": 2},
}
GOOD = (200, {}, ANSWER)
PAIR = ("similarity", "dog", "park")
QUICK = Retries(most=3, base=0.001)


@pytest.mark.parametrize("status", [0, 429, 502, 503, 504])
def test_what_passes_is_asked_again_under_the_same_id(kind, status):
    with answering((status, {}, {}), (status, {}, {}), GOOD) as script:
        assert kind(script.url, retries=QUICK).call(*PAIR).scores.tolist() == [0.5]
        assert len(script.asked) == 3
        assert len({asked["x-request-id"] for asked in script.asked}) == 1
        assert script.bodies == [{"sentence1": "dog", "sentence2": "park"}] * 3


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 500, 501])
def test_what_stays_is_not_asked_again(kind, status):
    with answering((status, {}, {}), GOOD) as script:
        with pytest.raises(Exception, match=str(status)):
            kind(script.url, retries=QUICK).call(*PAIR)
        assert len(script.asked) == 1


@pytest.mark.parametrize("method", ["ready", "health"])
def test_probes_ask_once(kind, method):
    with answering((503, {}, {"status": "unavailable", "reason": "warming"})) as script:
        answer = kind(script.url, retries=QUICK).call(method)
        assert answer is False or answer.reason == "warming"
        assert len(script.asked) == 1


def test_attempts_end(kind):
    with answering((429, {}, {"error": {"message": "full", "code": "overloaded"}})) as script:
        with pytest.raises(OverloadedError, match="full"):
            kind(script.url, retries=QUICK).call(*PAIR)
        assert len(script.asked) == 4


def test_retry_after_is_waited_for(kind):
    with answering((429, {"retry-after": "1"}, {}), GOOD) as script:
        started = time.monotonic()
        kind(script.url, retries=QUICK).call(*PAIR)
        assert time.monotonic() - started >= 1


def test_a_retry_after_beyond_patience_is_told_at_once(kind):
    with answering((429, {"retry-after": "3600"}, {}), GOOD) as script:
        with pytest.raises(OverloadedError) as caught:
            kind(script.url).call(*PAIR)
        assert caught.value.retry_after == 3600
        assert len(script.asked) == 1


def test_patience_ends_between_attempts(kind):
    with answering((429, {}, {})) as script:
        client = kind(script.url, timeout=Timeouts(total=0.3), retries=Retries(most=10**6, base=0.02, longest=0.02))
        with pytest.raises((OverloadedError, TimedOutError)) as caught:
            client.call(*PAIR)
        # Whether the end comes within an attempt or within a pause, the refusal is told.
        assert isinstance(caught.value, OverloadedError) or isinstance(caught.value.__cause__, OverloadedError)
        assert len(script.asked) > 2


def test_a_server_that_comes_back(kind, model):
    with LiveServer(model) as first:
        port, url = first.address[1], first.url
        assert kind(url).call("ready")
    second = LiveServer(model)
    second.config.port = port
    results = []
    client = kind(url, retries=Retries(most=200, base=0.05, longest=0.05))
    asking = threading.Thread(target=lambda: results.append(client.call(*PAIR)))
    asking.start()
    time.sleep(0.2)
    assert not results
    with second:
        asking.join(20)
        assert results[0].model == "tiny"


def test_a_connection_kept_alive_over_a_restart(model):
    first = LiveServer(model)
    with first:
        client = Client(first.url)
        assert client.score(["dog"], ["dog"]).shape == (1,)
    second = LiveServer(model)
    second.config.port = first.address[1]
    with client, second:
        assert client.score(["dog"], ["dog"]).shape == (1,)


def test_the_limits_are_asked_for_once(server):
    asked = []
    with Client(server.url) as client:
        client._http.event_hooks["request"].append(lambda request: asked.append(request.url.raw_path.decode()))
        client.embed(["dog"])
        client.embed(["dog"])
        client.info()
        client.embed(["dog"], model="tiny")
        client.score(["dog"], ["park"], model="tiny")
    assert asked == [
        "/info", "/v1/embeddings", "/v1/embeddings", "/info", "/info?model=tiny", "/v1/embeddings", "/v1/similarity",
    ]  # fmt: skip


@given(attempts=st.integers(1, 10**6), chance=st.floats(0, 1, exclude_max=True), after=st.none() | st.floats(0, 1e6))
def test_a_pause_lies_between_what_is_asked_for_and_the_bound(attempts, chance, after):
    retries = Retries(base=0.1, longest=5)
    pause = retries.pause(attempts, chance, after)
    assert (after or 0) <= pause <= (after or 0) + min(5, 0.1 * 2 ** min(attempts - 1, 64))


def test_pauses_double_up_to_the_longest():
    assert [Retries(base=1, longest=5).pause(attempts, 1.0) for attempts in (1, 2, 3, 4)] == [1, 2, 4, 5]


NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1e400"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Tue, 01 Jan 2030 00:00:30 GMT"}, 30),
        ({"retry-after": "Tue, 01 Jan 2030 00:00:30 -0000"}, 30),
        ({"retry-after": "Mon, 31 Dec 2029 00:00:00 GMT"}, 0),
        ({"retry-after": format_datetime(NOW + timedelta(days=9)), "date": format_datetime(NOW + timedelta(days=8))},
         86_400),
    ],
)  # fmt: skip
def test_what_retry_after_asks_for(headers, seconds):
    assert retry_after_of(headers, NOW) == seconds


@given(st.text(st.characters(max_codepoint=255)))
def test_no_retry_after_breaks_the_client(text):
    seconds = retry_after_of({"retry-after": text, "date": text})
    assert seconds is None or 0 <= seconds < float("inf")


@given(sizes=st.lists(st.integers(0, 50)), items=st.integers(1, 6), most=st.integers(1, 100))
def test_slices_hold_everything_once_within_the_bounds(sizes, items, most):
    runs = list(slices(sizes, most_items=items, most_bytes=most))
    assert [size for run in runs for size in sizes[run]] == sizes
    for run in runs:
        held = sizes[run]
        assert 1 <= len(held) <= items
        assert len(held) == 1 or sum(held) + len(held) <= most


def test_what_is_no_text_is_replaced():
    assert (
        write(["a\ud800b", "\udc00", "\ud83d\ude00", "\ud800"]).decode()
        == '["a\ufffdb","\ufffd","\U0001f600","\ufffd"]'
    )


@given(texts=st.lists(st.text(st.characters(exclude_categories=()))))
def test_texts_are_as_long_alone_as_among_others(texts):
    assert len(write(texts)) == len("[]") + sum(len(write(text)) for text in texts) + max(0, len(texts) - 1)
