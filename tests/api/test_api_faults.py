"""Faults against a live server: nobody goes without an answer, health tells the truth, and it recovers.

How long each recovery took is shown, and is a property of the test's report; docs/faults.md has it as once measured.
No bound is tighter than a machine under other load can keep.
"""

import ast
import asyncio
import os
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from api.spawning import NURSERY
from tests.api.live import REPOSITORY, LiveServer, serve_process, until
from tests.api.tiny import SENTENCES, AllergicModel, build_model

URL = "/v1/similarity"
PAIR = {"sentence1": SENTENCES[0], "sentence2": SENTENCES[1]}


@pytest.fixture(autouse=True, scope="module")
def nursery():
    """Start what workers come from: on a busy machine, importing torch takes longer than a live server may."""

    async def start():
        connection, _ = await NURSERY.worker()
        connection.close()

    asyncio.run(start())


@pytest.fixture
def measured(request, capsys):
    """Return what keeps a time with the test's report, and shows it."""

    def note(name, seconds):
        request.node.user_properties.append((name, round(seconds, 3)))
        with capsys.disabled():
            sys.stdout.write(f"{request.node.name}: {name} {seconds:.3f}\n")

    return note


class Load:
    """Four clients that ask again and again, with sentences that no cache knows, each over connections of its own."""

    def __init__(self, url, stop_when_not_ready=False):
        self.statuses = []
        self.lost = []
        self._url, self._stop_when_not_ready = url, stop_when_not_ready
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(4)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a request was never answered"
        assert self.lost == []

    def _ask(self, number):
        words = ["dog", "park", "man", "guitar"]
        with httpx.Client(base_url=self._url, timeout=30) as client:
            asked = 0
            while not self._stopped.is_set():
                if self._stop_when_not_ready and client.get("/readyz").status_code != 200:
                    return
                asked += 1
                text = " ".join(words[(asked // 4**place) % 4] for place in range(8))
                try:
                    response = client.post(URL, json={"sentence1": text, "sentence2": words[number]})
                except httpx.HTTPError as error:
                    self.lost.append(error)
                    return
                self.statuses.append(response.status_code)
                time.sleep(0.005)

    def goes_on(self, count=20):
        """Wait until so many more were answered."""
        before = len(self.statuses)
        until(lambda: len(self.statuses) >= before + count or not self._running, 60)

    @property
    def _running(self):
        return any(thread.is_alive() for thread in self._threads)


def recovery(client, since):
    """Wait for the first answer, and return how many seconds after the fault it came."""
    until(lambda: client.post(URL, json=PAIR).status_code == 200, 60)
    return time.monotonic() - since


def worker_of(server):
    return server.app.state.service._all[0]._worker


def test_a_worker_killed_under_load(model, measured):
    with LiveServer(model) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        with Load(server.url) as load:
            load.goes_on()
            killed = time.monotonic()
            worker = worker_of(server)
            os.kill(worker.pid, signal.SIGKILL)
            until(lambda: not worker.is_alive)
            measured("recovery_seconds", recovery(client, killed))
            load.goes_on()
        assert set(load.statuses) <= {200, 503}
        assert load.statuses[-1] == 200
        assert [client.get(path).status_code for path in ("/livez", "/readyz", "/health")] == [200] * 3
        assert 'simlstm_worker_restarts_total{model="tiny"} 1.0' in client.get("/metrics").text


def test_a_worker_stuck_under_load(model, measured):
    with LiveServer(model, stall_seconds=1.0) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        with Load(server.url) as load:
            load.goes_on()
            stopped = time.monotonic()
            os.kill(worker_of(server).pid, signal.SIGSTOP)
            until(lambda: client.get("/livez").status_code == 503)
            assert "worker" in client.get("/readyz").json()["reason"]
            measured("recovery_seconds", recovery(client, stopped))
            load.goes_on()
        assert set(load.statuses) <= {200, 503}
        assert 503 in load.statuses, "those in flight were told"
        assert load.statuses[-1] == 200
        assert client.get("/livez").status_code == 200


def test_a_checkpoint_cut_off_during_a_reload(tmp_path, checkpoint, measured):
    folder = shutil.copytree(checkpoint, tmp_path / "cut")
    (weights,) = folder.glob("*.safetensors")
    with TestClient(create_app(Settings(model=str(folder)))) as client, ThreadPoolExecutor(1) as pool:
        whole = weights.read_bytes()
        weights.write_bytes(whole[:-50])
        service = client.app.state.service
        started = time.monotonic()
        reloading = pool.submit(client.portal.call, service.reload)
        statuses = []
        while not reloading.done() or not statuses:
            statuses.append(client.post(URL, json=PAIR).status_code)
            statuses.append(client.get("/readyz").status_code)
        assert reloading.result() == []
        assert set(statuses) == {200}
        measured("refusal_seconds", time.monotonic() - started)
        weights.write_bytes(whole)
        assert client.portal.call(service.reload) == ["cut"]


def test_poison_among_good_requests():
    with LiveServer(build_model(AllergicModel)) as server:
        with Load(server.url) as load, httpx.Client(base_url=server.url, timeout=30) as client:
            for _ in range(20):
                poisoned = client.post(URL, json={"sentence1": AllergicModel.POISON, "sentence2": "dog"})
                assert (poisoned.status_code, poisoned.json()["error"]["code"]) == (500, "model_failed")
                assert "password" not in poisoned.text
                assert client.get("/readyz").status_code == 200
            load.goes_on()
        assert set(load.statuses) == {200}
        assert worker_of(server).sentences == 0


def test_clients_that_leave_hold_nothing_up(gated):
    with LiveServer(gated, max_waiting_sentences=40, max_request_sentences=40) as server:
        gated.gate.clear()
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: leave(server.url), range(16)))
        until(lambda: worker_of(server).sentences == 0)
        with httpx.Client(base_url=server.url, timeout=30) as client:
            assert client.get("/readyz").status_code == 200
            gated.gate.set()
            assert client.post(URL, json=PAIR).status_code == 200


def leave(url):
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{url}{URL}", json=PAIR, timeout=httpx.Timeout(30, read=0.5))


def test_ten_times_what_the_queue_holds(gated, measured):
    with LiveServer(gated, max_waiting_sentences=8, max_request_sentences=8) as server:
        gated.gate.clear()
        with httpx.Client(base_url=server.url, timeout=60) as client, ThreadPoolExecutor(40) as pool:
            answers = [pool.submit(timed, server.url) for _ in range(40)]
            until(lambda: sum(answer.done() for answer in answers) == 36)
            assert client.get("/readyz").json()["reason"] == "the queue is full"
            assert client.get("/livez").status_code == 200
            opened = time.monotonic()
            gated.gate.set()
            measured("recovery_seconds", recovery(client, opened))
            results = [answer.result(60) for answer in answers]
        statuses = [response.status_code for response, _ in results]
        assert (statuses.count(200), statuses.count(429)) == (4, 36)
        for response, seconds in results:
            if response.status_code == 429:
                assert 1 <= int(response.headers["retry-after"]) <= 60
                assert seconds < 20, "a refusal waits for no model"
        measured("slowest_refusal_seconds", max(s for r, s in results if r.status_code == 429))


def timed(url):
    started = time.monotonic()
    return httpx.post(f"{url}{URL}", json=PAIR, timeout=60), time.monotonic() - started


def test_sigterm_under_load_answers_every_request(checkpoint, measured):
    with serve_process("--model", str(checkpoint), SIMLSTM_SHUTDOWN_DELAY_SECONDS="2") as serving:
        with Load(serving.url(), stop_when_not_ready=True) as load:
            load.goes_on()
            terminated = time.monotonic()
            serving.process.send_signal(signal.SIGTERM)
            load.goes_on(10**6)  # until each client has seen /readyz say no
        assert serving.ended() in (0, -signal.SIGTERM)
        measured("end_seconds", time.monotonic() - terminated)
    assert set(load.statuses) == {200}
    assert not any("Traceback" in line for line in serving.lines)


def test_a_server_that_slept_does_not_kill_a_healthy_worker(checkpoint):
    settings = {"SIMLSTM_STALL_SECONDS": "2", "SIMLSTM_DEFAULT_DEADLINE_MS": "60000"}
    with serve_process("--model", str(checkpoint), **settings) as serving:
        url = serving.url()
        with Load(url) as load, httpx.Client(base_url=url, timeout=30) as client:
            for _ in range(2):
                load.goes_on()
                serving.process.send_signal(signal.SIGSTOP)
                time.sleep(4.5)
                serving.process.send_signal(signal.SIGCONT)
            load.goes_on()
            assert 'simlstm_worker_restarts_total{model="tiny"} 0.0' in client.get("/metrics").text
        assert set(load.statuses) == {200}


def test_a_wall_clock_that_jumps_is_not_noticed(model, monkeypatch):
    now = time.time()
    with LiveServer(model, stall_seconds=5.0, default_deadline_ms=20_000) as server, Load(server.url) as load:
        for jump in (1e6, -1e6):
            monkeypatch.setattr(time, "time", lambda jump=jump: now + jump)
            load.goes_on()
        worker = worker_of(server)
        assert worker.stalled_for() < 5
    assert set(load.statuses) == {200}


def test_the_wall_clock_measures_nothing():
    """It tells clients and traces the date, in these places; all durations come from clocks that cannot jump."""
    asked = []
    for path in sorted((REPOSITORY / "api").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("time", "time_ns", "now", "utcnow", "today"):
                asked.append(f"{path.relative_to(REPOSITORY)}: {ast.unparse(node)}")
            if isinstance(node, ast.ImportFrom) and node.module in ("time", "datetime"):
                asked.append(f"{path.relative_to(REPOSITORY)}: from {node.module}")
    asked = [place for place in asked if not place.endswith(": loop.time")]  # the event loop's is monotonic
    assert asked == ["api/facts.py: time.time", "api/routes/score.py: time.time", "api/tracing.py: time.time_ns"]
