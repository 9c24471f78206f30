"""Loading a checkpoint again while it is served: by call, by signal, by looking."""

import asyncio
import os
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from tests.api.live import serve_process, until
from tests.api.tiny import SENTENCES, build_model

PAIR = {"sentence1": SENTENCES[0], "sentence2": SENTENCES[1]}


def other_model():
    """The tiny model with other weights."""
    model = build_model()
    with torch.no_grad():
        for parameter in model.model.parameters():
            parameter.mul_(1.5)
    return model


@pytest.fixture
def folder(tmp_path, checkpoint):
    return shutil.copytree(checkpoint, tmp_path / "served")


@pytest.fixture
def client(folder):
    with TestClient(create_app(Settings(model=str(folder)))) as client:
        yield client


def reload(client):
    return client.portal.call(client.app.state.service.reload)


def cut_weights(folder):
    (weights,) = folder.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-100])


def embedding(client, name="served"):
    answer = client.post("/v1/embeddings", json={"model": name, "input": SENTENCES[0]})
    return np.array(answer.json()["data"][0]["embedding"], dtype=np.float32)


def reloads(client, result):
    """Whether any was counted."""
    return f'simlstm_reloads_total{{model="served",result="{result}"}} 0.0' not in client.get("/metrics").text


def test_new_weights_are_served_and_the_cache_is_new(client, folder, model):
    np.testing.assert_array_equal(embedding(client), model.encode(SENTENCES[:1])[0])
    other = other_model()
    other.save_pretrained(folder)
    assert reload(client) == ["served"]
    assert client.get("/info").json()["model_sha"] == other.fingerprint != model.fingerprint
    np.testing.assert_array_equal(embedding(client), other.encode(SENTENCES[:1])[0])
    assert reloads(client, "taken_up")


@pytest.mark.parametrize("damage", [cut_weights, shutil.rmtree])
def test_a_damaged_checkpoint_is_refused_and_the_old_one_stays(client, folder, model, damage, caplog):
    worker = client.app.state.service._all[0]._worker
    damage(folder)
    assert reload(client) == []
    assert client.app.state.service._all[0]._worker is worker
    assert [client.get(path).status_code for path in ("/livez", "/readyz")] == [200, 200]
    np.testing.assert_array_equal(embedding(client), model.encode(SENTENCES[:1])[0])
    assert reloads(client, "refused")
    assert any("is not reloaded, the old weights stay" in line for line in caplog.messages)
    other_model().save_pretrained(folder)
    assert reload(client) == ["served"]


def test_requests_in_flight_end_on_the_old_weights(tmp_path, model):
    """The old worker is stopped while it holds a request, and goes on once the new one serves."""
    model.save_pretrained(tmp_path / "served")
    with TestClient(create_app(Settings(model=str(tmp_path / "served")))) as client, ThreadPoolExecutor(1) as pool:
        old = client.app.state.service._all[0]._worker
        os.kill(old.pid, signal.SIGSTOP)
        held = pool.submit(embedding, client)
        until(lambda: old.sentences == 1)
        other = other_model()
        other.save_pretrained(tmp_path / "served")
        assert reload(client) == ["served"]
        np.testing.assert_array_equal(embedding(client), other.encode(SENTENCES[:1])[0])
        assert not held.done()
        os.kill(old.pid, signal.SIGCONT)
        np.testing.assert_array_equal(held.result(30), model.encode(SENTENCES[:1])[0])
        until(lambda: not old.is_alive)


def test_no_request_fails_while_weights_are_replaced_again_and_again(client, folder):
    models = [build_model(), other_model()]
    allowed = [model.encode(SENTENCES[:1])[0] for model in models]
    with ThreadPoolExecutor(4) as pool:
        done = False

        def ask():
            count = 0
            while not done:
                vector = embedding(client)
                assert any(np.array_equal(vector, one) for one in allowed)
                count += 1
                time.sleep(0.02)  # what loads the new weights needs a processor, too
            return count

        askers = [pool.submit(ask) for _ in range(4)]
        try:
            for number in range(4):
                models[(number + 1) % 2].save_pretrained(folder)
                assert reload(client) == ["served"]
        finally:
            done = True
        assert all(asker.result(30) > 0 for asker in askers)
    np.testing.assert_array_equal(embedding(client), allowed[0])


def test_a_link_that_points_elsewhere_is_reloaded_under_the_old_name(tmp_path, model):
    other = other_model()
    model.save_pretrained(tmp_path / "version-1")
    other.save_pretrained(tmp_path / "version-2")
    link = tmp_path / "current"
    link.symlink_to("version-1")
    with TestClient(create_app(Settings(model=str(link)))) as client:
        name = client.get("/info").json()["model_id"]
        link.unlink()
        link.symlink_to("version-2")
        assert reload(client) == [name]
        np.testing.assert_array_equal(embedding(client, name), other.encode(SENTENCES[:1])[0])
        assert client.get("/info").json()["model_id"] == name


def test_looking_for_changes_finds_one_and_is_not_led_astray(folder, tmp_path, model):
    """A checkpoint that is copied file by file, config.json first, is taken up once it is whole."""
    other = other_model()
    other.save_pretrained(tmp_path / "other")
    with TestClient(create_app(Settings(model=str(folder), reload_seconds=0.05))) as client:
        shutil.copy(tmp_path / "other" / "config.json", folder)
        until(lambda: reloads(client, "refused"))
        np.testing.assert_array_equal(embedding(client), model.encode(SENTENCES[:1])[0])
        for file in (tmp_path / "other").iterdir():
            shutil.copy(file, folder)
        until(lambda: client.get("/info").json()["model_sha"] == other.fingerprint)
        taken_up = client.app.state.service._all[0]._worker
        client.portal.call(asyncio.sleep, 0.3)
        assert client.app.state.service._all[0]._worker is taken_up, "what has not changed is not loaded again"


def test_a_model_without_a_folder_is_not_reloaded(serve):
    assert reload(serve()) == []


def test_sighup_reloads_a_server(folder, model):
    other = other_model()
    with (
        serve_process("--model", str(folder), "--log-format", "text") as serving,
        httpx.Client(base_url=serving.url(), timeout=30) as client,
    ):
        assert client.get("/info").json()["model_sha"] == model.fingerprint
        cut_weights(folder)
        serving.process.send_signal(signal.SIGHUP)
        until(lambda: any("is not reloaded, the old weights stay" in line for line in serving.lines))
        assert client.get("/info").json()["model_sha"] == model.fingerprint
        assert client.post("/v1/similarity", json=PAIR).status_code == 200
        other.save_pretrained(folder)
        serving.process.send_signal(signal.SIGHUP)
        until(lambda: client.get("/info").json()["model_sha"] == other.fingerprint)
        np.testing.assert_array_equal(embedding(client), other.encode(SENTENCES[:1])[0])
        serving.process.terminate()
        assert serving.ended() in (0, -signal.SIGTERM)
    assert not any("Traceback" in line for line in serving.lines)
