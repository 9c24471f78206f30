"""Probes, metrics, keys, CORS, headers, logs, and the OpenAPI document."""

import pytest
import torch
from fastapi.testclient import TestClient

from api.app import create_app
from api.service import StartError
from api.settings import Settings
from simlstm.rnn.frozen import frozen_backend
from tests.api.live import until
from tests.api.tiny import SENTENCES, AllergicModel, build_model

PAIR = {"sentence1": SENTENCES[0], "sentence2": SENTENCES[1]}
PROBES = ("/livez", "/readyz", "/health")


def test_probes_of_a_healthy_server(client):
    for path in PROBES:
        response = client.get(path)
        assert (response.status_code, response.json()) == (200, {"status": "ok", "reason": None, "model": "tiny"})


def test_probes_of_a_dead_worker(serve):
    client = serve(build_model(AllergicModel), restart_limit=0)
    assert client.post("/v1/similarity", json=PAIR | {"sentence1": AllergicModel.DEADLY}).status_code == 503
    dead = "the model's worker is dead, after 0 replacements within 60 s: restart this server"
    until(lambda: client.get("/livez").json()["reason"] == dead)
    for path in PROBES:
        response = client.get(path)
        assert response.status_code == 503
        assert response.json() == {
            "status": "unavailable", "reason": dead, "model": "tiny"
        }  # fmt: skip
    metrics = client.get("/metrics").text
    assert "simlstm_worker_up 0.0" in metrics
    assert "simlstm_ready 0.0" in metrics


def test_readiness_goes_before_life(serve):
    client = serve()
    client.app.state.service.draining = True
    assert [client.get(path).status_code for path in PROBES] == [200, 503, 200]
    assert client.get("/readyz").json()["reason"] == "the server is shutting down"
    assert client.post("/v1/similarity", json=PAIR).status_code == 200


def samples(text):
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_metrics_exist_at_zero_before_the_first_request(serve):
    response = serve().get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = samples(response.text)
    expected = {
        'te_request_count{method="single"}', 'te_request_count{method="batch"}', 'te_request_success{method="single"}',
        'te_request_failure{err="overloaded"}', 'te_request_failure{err="validation"}', "te_request_duration_count",
        "te_request_tokenization_duration_count", "te_request_queue_duration_count",
        "te_request_inference_duration_count", "te_request_input_length_count", "te_embed_count", "te_embed_success",
        "te_batch_next_size_count", "te_batch_next_tokens_count", "te_queue_size", "simlstm_pairs_total",
        "simlstm_truncated_sentences_total", 'simlstm_http_responses_total{route="/v1/similarity",status="200"}',
        'simlstm_http_responses_total{route="/v1/embeddings",status="200"}',
        'simlstm_http_responses_total{route="/v1/embeddings",status="503"}', "simlstm_cancelled_total",
        "simlstm_poisoned_total", "simlstm_cache_hits_total", "simlstm_cache_misses_total", "simlstm_cache_bytes",
        "simlstm_oom_total",
    }  # fmt: skip
    assert {name: found[name] for name in expected} == dict.fromkeys(expected, 0.0)
    assert (found["simlstm_worker_up"], found["simlstm_ready"]) == (1.0, 1.0)
    # Dashboards of Text Embeddings Inference ask for these names, without a suffix.
    assert "# TYPE te_request_count counter" in response.text
    assert not any(name.startswith("te_") and "_total" in name for name in found)


def test_metrics_count(serve):
    client = serve()
    client.post("/v1/similarity", json=PAIR)
    client.post("/v1/similarity", json={"sentence1": "dog", "sentence2": ["dog " * 20, "park"]})
    client.post("/v1/similarity", json={})
    client.get("/v1/similarity")
    found = samples(client.get("/metrics").text)
    assert found['te_request_count{method="single"}'] == 2
    assert found['te_request_count{method="batch"}'] == 1
    assert found['te_request_success{method="single"}'] == 1
    assert found['te_request_failure{err="validation"}'] == 1
    assert found["te_embed_count"] == found["te_embed_success"] == found["te_request_input_length_count"] == 5
    assert found["te_request_duration_count"] == 2
    assert found["simlstm_pairs_total"] == 3
    assert found["simlstm_truncated_sentences_total"] == 1
    assert found['simlstm_http_responses_total{route="/v1/similarity",status="405"}'] == 1


def test_info(client, model):
    info = client.get("/info").json()
    assert info["model_id"] == "tiny"
    assert info["model_sha"] == model.fingerprint
    assert (info["model_dtype"], info["backend"]) == ("float32", frozen_backend())
    assert info["max_input_length"] == 12
    assert info["embedding_size"] == model.embedding_size
    assert info["score"]["range"] == [0.0, 1.0]
    assert info["score"]["threshold"] == 0.5
    assert info["metrics"] == {"spearman": 0.5}


def test_info_of_a_model_by_name(client):
    assert client.get("/info?model=tiny").json() == client.get("/info").json()
    response = client.get("/info?model=other")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"


def test_welcome_names_the_documentation(client):
    assert client.get("/").json()["documentation"] == "/docs"
    page = client.get("/docs")
    assert page.status_code == 200
    assert "cdn.jsdelivr.net" in page.headers["content-security-policy"]


def test_request_ids(client):
    assert client.get("/livez", headers={"x-request-id": "trace-1:2"}).headers["x-request-id"] == "trace-1:2"
    for bad in ("a b", "x" * 129, "", "<script>"):
        given = client.get("/livez", headers={"x-request-id": bad}).headers["x-request-id"]
        assert given != bad
        assert len(given) == 32


def test_security_headers(client):
    for response in (client.get("/livez"), client.get("/nothing"), client.post("/v1/similarity", json=PAIR)):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["x-frame-options"] == "DENY"
        assert response.headers["content-security-policy"].startswith("default-src 'none'")
        assert response.headers["cache-control"] == "no-store"


def test_a_start_that_fails_says_why(tmp_path):
    broken = build_model()
    broken.model.encoder.embedding = torch.nn.Embedding(1, 8)
    for settings, model, sentence in (
        (Settings(), None, "no model to serve: name a shipped one, or a folder, by --model or SIMLSTM_MODEL"),
        (Settings(model=str(tmp_path / "nothing")), None, f"cannot serve {tmp_path / 'nothing'}: "),
        (Settings(), broken, "the model does not compute: "),
    ):
        with pytest.raises(StartError) as caught, TestClient(create_app(settings, model)):
            pytest.fail("it started")
        assert sentence in str(caught.value)


def test_a_shipped_checkpoint_is_served_by_its_name(monkeypatch, tmp_path):
    monkeypatch.setenv("SIMLSTM_MODEL", "en")
    monkeypatch.chdir(tmp_path)
    with TestClient(create_app()) as client:
        assert client.get("/health").json() == {"status": "ok", "reason": None, "model": "en"}
        assert client.get("/info").json()["model_id"] == "en"
        assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["en"]
        assert client.post("/v1/similarity", json=PAIR).json()["model"] == "en"
    monkeypatch.setenv("SIMLSTM_MODEL", "fr")
    with (
        pytest.raises(StartError, match=r"cannot serve fr: .* no shipped checkpoint of that name \(shipped: en, zh\)"),
        TestClient(create_app()),
    ):
        pass
