"""The arithmetic of the encoder: chosen by a setting, shown where a client or an operator looks for it."""

import logging

import httpx
import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from api.app import create_app
from api.engine.jobs import Job
from api.engine.process import load
from api.service import StartError
from api.settings import Settings
from api.work import Work
from simlstm import SimilarityModel
from simlstm.models.frozen import FrozenEncoder
from simlstm.rnn.frozen import PRECISIONS, frozen_backend
from tests.api.live import serve_process
from tests.api.tiny import SENTENCES, build_model


def embed(client, texts):
    answer = client.post("/v1/embeddings", json={"model": "tiny", "input": texts, "encoding_format": "float"})
    return np.array([entry["embedding"] for entry in answer.json()["data"]], dtype=np.float32)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_the_checkpoint_is_served_in_the_dtype_asked_for(checkpoint, caplog, dtype):
    expected = SimilarityModel.from_pretrained(checkpoint, device="cpu", dtype=dtype).encode(SENTENCES)
    with (
        caplog.at_level(logging.INFO, "api"),
        TestClient(create_app(Settings(model=str(checkpoint), device="cpu", dtype=dtype))) as client,
    ):
        assert np.array_equal(embed(client, SENTENCES), expected)
        info = client.get("/info").json()
        assert (info["model_dtype"], info["backend"]) == (dtype, frozen_backend())
        assert client.get("/v1/models").json()["data"][0]["dtype"] == dtype
        assert client.get("/v1/models/tiny").json()["dtype"] == dtype
    assert f"serving tiny: {dtype}, {frozen_backend()} backend, cpu" in caplog.messages


def test_each_dtype_gives_vectors_of_its_own(checkpoint):
    exact, *lower = (
        SimilarityModel.from_pretrained(checkpoint, device="cpu", dtype=dtype).encode(SENTENCES) for dtype in PRECISIONS
    )
    for vectors in lower:
        assert not np.array_equal(vectors, exact)
    assert not np.array_equal(*lower)


def test_the_encoder_is_frozen_before_the_server_is_ready(checkpoint, monkeypatch):
    frozen_in_threads = []
    original = FrozenEncoder.from_encoder.__func__

    def noting(cls, encoder, **options):
        frozen_in_threads.append(torch.get_num_threads())
        return original(cls, encoder, **options)

    monkeypatch.setattr(FrozenEncoder, "from_encoder", classmethod(noting))
    before = torch.get_num_threads()
    settings = {
        "folder": str(checkpoint), "device": "cpu", "dtype": None, "threads": 3, "max_batch_tokens": 100,
        "cache_bytes": 0, "max_age": 0.05, "log_level": "info", "log_format": "text",
    }  # fmt: skip
    engine, _ = load(settings, b"")
    assert frozen_in_threads == [3], "once, by the worker, with the threads it was given"
    engine.add([Job(0, Work(SENTENCES), 0.0)])
    engine.step()
    assert len(frozen_in_threads) == 1
    torch.set_num_threads(before)


def test_a_model_that_cannot_compute_in_its_dtype_does_not_start():
    model = build_model()
    model.freeze("int8").model.encoder.recurrent = torch.nn.LSTM(8, 8, bidirectional=True)
    with (
        pytest.raises(StartError, match="dtype='int8' needs a frozen encoder"),
        TestClient(create_app(Settings(), model)),
    ):
        pytest.fail("it started")


@pytest.mark.parametrize("arguments", [("--dtype", "int8"), ()])
def test_serve_takes_it_as_a_flag_and_from_the_environment(checkpoint, arguments):
    environment = {} if arguments else {"SIMLSTM_DTYPE": "int8"}
    with serve_process("--model", str(checkpoint), "--device", "cpu", *arguments, **environment) as serving:
        assert httpx.get(f"{serving.url()}/info").json()["model_dtype"] == "int8"
    assert any(f"serving tiny: int8, {frozen_backend()} backend, cpu" in line for line in serving.lines)


def test_serve_refuses_another_dtype(checkpoint):
    with serve_process("--model", str(checkpoint), "--dtype", "int4", COLUMNS="200") as serving:
        assert serving.ended() == 2
    assert "'int4' is not one of" in "".join(serving.lines)
