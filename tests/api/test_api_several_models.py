"""Several models by name: each has its own worker and its own queue."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.service import StartError
from api.settings import Settings
from tests.api.live import until
from tests.api.test_api_reload import other_model
from tests.api.tiny import SENTENCES


@pytest.fixture
def start(tmp_path, checkpoint):
    other_model().save_pretrained(tmp_path / "other")
    clients = []

    def run(small=None, **settings):
        models = {"large": {"path": str(checkpoint)}, "small": {"path": str(tmp_path / "other")} | (small or {})}
        clients.append(TestClient(create_app(Settings(models=models, **settings))))
        clients[-1].__enter__()
        return clients[-1]

    yield run
    for client in clients:
        client.__exit__(None, None, None)


def embed(client, name, count=1):
    return client.post("/v1/embeddings", json={"model": name, "input": [SENTENCES[0]] * count})


def worker_of(client, name):
    return client.app.state.service._hosted[name]._worker


def test_each_name_is_its_own_model_and_the_first_is_the_default(start, model):
    client = start()
    for name, own in (("large", model), ("small", other_model())):
        vector = np.array(embed(client, name).json()["data"][0]["embedding"], dtype=np.float32)
        np.testing.assert_array_equal(vector, own.encode(SENTENCES[:1])[0])
    assert client.get("/info").json()["model_id"] == "large"
    assert [entry["id"] for entry in client.get("/v1/models").json()["data"]] == ["large", "small"]
    unknown = embed(client, "medium")
    assert unknown.status_code == 404
    assert "served: 'large', 'small'" in unknown.json()["error"]["message"]
    assert worker_of(client, "large").pid != worker_of(client, "small").pid


def test_a_full_queue_of_one_does_not_stop_the_other(start):
    client = start({"max_waiting_sentences": 4, "max_request_sentences": 4}, overload_share=0.5)
    with ThreadPoolExecutor(1) as pool:
        pid = worker_of(client, "small").pid
        os.kill(pid, signal.SIGSTOP)
        try:
            held = pool.submit(embed, client, "small", 4)
            until(lambda: worker_of(client, "small").sentences == 4)
            assert embed(client, "small").status_code == 429
            assert embed(client, "large", 5).status_code == 200
            ready = client.get("/readyz")
            assert (ready.status_code, ready.json()["reason"]) == (503, "small: the queue is full")
        finally:
            os.kill(pid, signal.SIGCONT)
        assert held.result(30).status_code == 200
    until(lambda: client.get("/readyz").status_code == 200)


def test_a_dead_worker_of_one_does_not_stop_the_other(start):
    client = start(restart_limit=0)
    os.kill(worker_of(client, "small").pid, signal.SIGKILL)
    until(lambda: "restart this server" in (client.get("/readyz").json()["reason"] or ""))
    assert client.get("/readyz").json()["reason"].startswith("small: the model's worker is dead")
    assert client.get("/livez").status_code == 503
    for _ in range(3):
        assert embed(client, "large").status_code == 200
        assert embed(client, "small").status_code == 503
    assert client.portal.call(client.app.state.service.reload) == ["large", "small"]
    until(lambda: client.get("/readyz").status_code == 200)
    assert embed(client, "small").status_code == 200


def test_a_start_that_fails_for_one_ends_the_workers_of_the_others(checkpoint, tmp_path):
    models = {"good": {"path": str(checkpoint)}, "bad": {"path": str(tmp_path / "nothing")}}
    app = create_app(Settings(models=models))
    with pytest.raises(StartError, match="nothing"), TestClient(app):
        pytest.fail("it started")
    assert app.state.service.dead_because is not None
    until(lambda: not any(hosted._worker.is_alive for hosted in app.state.service._all))
