"""A served model's queue and its worker's replacement."""

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.hosting import HostedModel
from api.metrics import Metrics
from api.settings import Settings
from api.spawning import NURSERY
from tests.api.live import LiveServer, until
from tests.api.tiny import SENTENCES

URL = "/v1/similarity"
PAIR = {"sentence1": SENTENCES[0], "sentence2": SENTENCES[1]}
PROBES = ("/livez", "/readyz", "/health")


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as executor:
        yield executor


def hosted_of(client):
    (hosted,) = client.app.state.service._all
    return hosted


def die(client):
    """Kill the worker, and wait until that is noticed."""
    worker = hosted_of(client)._worker
    os.kill(worker.pid, signal.SIGKILL)
    until(lambda: not worker.is_alive)


def one_against(count):
    return {"sentence1": "dog", "sentence2": ["park"] * (count - 1)}


def test_the_queue_is_bounded_in_sentences(serve, gated, pool):
    client = serve(gated, max_waiting_sentences=10, max_request_sentences=10)
    gated.gate.clear()
    held = [pool.submit(client.post, URL, json=one_against(count)) for count in (4, 3)]
    until(lambda: hosted_of(client).waiting_sentences == 7)
    refused = client.post(URL, json=one_against(4))
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    held.append(pool.submit(client.post, URL, json=one_against(3)))  # exactly what is left
    until(lambda: hosted_of(client).waiting_sentences == 10)
    assert client.get("/readyz").json()["reason"] == "the queue is full"
    assert client.get("/livez").status_code == 200
    gated.gate.set()
    assert [answer.result(30).status_code for answer in held] == [200] * 3
    until(lambda: hosted_of(client).waiting_sentences == 0)
    assert client.get("/readyz").status_code == 200
    assert client.post(URL, json=one_against(10)).status_code == 200, "the early refusal has ended"


def test_a_small_request_is_not_refused_for_a_large_one(serve, gated, pool):
    client = serve(gated, max_waiting_sentences=64, max_request_sentences=64)
    gated.gate.clear()
    held = pool.submit(client.post, URL, json=one_against(61))
    until(lambda: hosted_of(client).waiting_sentences == 61)
    assert client.post(URL, json=one_against(20)).status_code == 429
    assert hosted_of(client).refusal is None, "three are left, and most requests are small"
    small = pool.submit(client.post, URL, json=PAIR)
    until(lambda: hosted_of(client).waiting_sentences == 63)
    assert client.post(URL, json=one_against(20)).status_code == 429
    assert hosted_of(client).refusal is not None
    assert client.post(URL, content=b"never read", headers={"content-type": "text/plain"}).status_code == 429
    gated.gate.set()
    assert held.result(30).status_code == small.result(30).status_code == 200
    until(lambda: hosted_of(client).refusal is None)


@pytest.mark.parametrize(("speed", "seconds"), [(1e6, 1), (20.0, 5), (0.001, 60)])
def test_retry_after_follows_from_the_measured_speed(model, speed, seconds):
    hosted = HostedModel(Settings(model="en").served[0], Settings(), Metrics([]), model)

    class Worker:
        sentences = 100

    hosted._worker = Worker()
    for _ in range(200):  # older steps are forgotten by then
        hosted.note_speed(10, 10 / speed)
    assert hosted._retry_after() == seconds


def test_a_killed_worker_is_replaced(serve, model):
    client = serve(restart_limit=5)
    before = client.post(URL, json=PAIR).json()
    die(client)
    until(lambda: client.get("/readyz").status_code == 200)
    assert client.post(URL, json=PAIR).json() == before
    assert 'simlstm_worker_restarts_total{model="tiny"} 1.0' in client.get("/metrics").text
    assert client.get("/info").json()["model_sha"] == model.fingerprint


def test_after_too_many_deaths_health_says_no_until_the_window_has_passed(serve):
    client = serve(restart_limit=2, restart_window_seconds=3)
    for _ in range(2):
        die(client)
        until(lambda: client.get("/readyz").status_code == 200)
    die(client)
    until(lambda: "after 2 replacements within 3 s" in (client.get("/livez").json()["reason"] or ""))
    assert [client.get(path).status_code for path in PROBES] == [503] * 3
    refused = client.post(URL, json=PAIR)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    until(lambda: client.get("/livez").status_code == 200)
    assert client.post(URL, json=PAIR).status_code == 200


def test_a_reload_helps_where_replacements_have_run_out(checkpoint):
    with TestClient(create_app(Settings(model=str(checkpoint), restart_limit=0, restart_window_seconds=1))) as client:
        die(client)
        until(lambda: "restart this server" in (client.get("/livez").json()["reason"] or ""))
        assert client.portal.call(client.app.state.service.reload) == ["tiny"]
        until(lambda: client.get("/livez").status_code == 200)
        for _ in range(30):
            assert client.post(URL, json=PAIR).status_code == 200
            client.portal.call(asyncio.sleep, 0.05)
        die(client)
        until(lambda: "restart this server" in (client.get("/livez").json()["reason"] or ""))


def test_a_stuck_worker_is_noticed_and_replaced(serve):
    client = serve(stall_seconds=0.4)
    os.kill(hosted_of(client)._worker.pid, signal.SIGSTOP)
    until(lambda: client.get("/livez").json()["reason"] == "the model's worker is stuck")
    until(lambda: client.get("/livez").status_code == 200)
    assert client.post(URL, json=PAIR).status_code == 200


def test_an_idle_worker_is_not_taken_for_a_stuck_one(serve):
    client = serve(stall_seconds=0.2)
    worker = hosted_of(client)._worker
    for _ in range(20):
        client.portal.call(asyncio.sleep, 0.05)
        assert client.get("/livez").status_code == 200
    assert hosted_of(client)._worker is worker


def test_a_killed_nursery_is_started_again(serve):
    client = serve()
    NURSERY._process.kill()
    NURSERY._process.wait(10)
    assert client.post(URL, json=PAIR).status_code == 200, "a worker does not need it"
    die(client)
    until(lambda: client.get("/readyz").status_code == 200, 60)
    assert client.post(URL, json=PAIR).status_code == 200


def test_no_process_is_left_behind(model):
    with LiveServer(model) as server:
        worker = server.app.state.service._all[0]._worker
        assert os.path.exists(f"/proc/{worker.pid}")  # noqa: PTH110
        os.kill(worker.pid, signal.SIGSTOP)
    until(lambda: not os.path.exists(f"/proc/{worker.pid}"))  # noqa: PTH110
