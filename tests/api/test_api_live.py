"""Servers on real sockets: official clients, overload, death, a long model call, shutdown."""

import base64
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import openai
import pytest

from tests.api.live import LiveServer, serve_process, until
from tests.api.tiny import SENTENCES, AllergicModel, build_model

PAIR = {"sentence1": SENTENCES[0], "sentence2": SENTENCES[1]}


@pytest.fixture
def pool():
    with ThreadPoolExecutor(32) as executor:
        yield executor


def test_the_openai_client(model):
    with LiveServer(model) as server, openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        for options in ({}, {"encoding_format": "float"}, {"encoding_format": "base64"}):
            answer = client.embeddings.create(model="tiny", input=SENTENCES, **options)
            rows = [
                np.asarray(entry.embedding, dtype=np.float32)
                if isinstance(entry.embedding, list)
                else np.frombuffer(base64.b64decode(entry.embedding), dtype="<f4")
                for entry in answer.data
            ]
            np.testing.assert_array_equal(np.stack(rows), model.encode(SENTENCES))
        assert answer.usage.prompt_tokens == sum(len(ids) for ids in model.tokenizer.encode(SENTENCES))
        assert [entry.id for entry in client.models.list()] == ["tiny"]
        assert client.models.retrieve("tiny").owned_by == "simlstm"
        with pytest.raises(openai.NotFoundError, match="served: 'tiny'"):
            client.embeddings.create(model="text-embedding-3-small", input="a")
        with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False"):
            client.embeddings.create(model="tiny", input=[1, 2])


def test_the_openai_client_with_a_key(model):
    with LiveServer(model, api_keys="sesame") as server:
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="sesame") as client:
            assert client.models.retrieve("tiny").id == "tiny"
        with (
            openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong") as client,
            pytest.raises(openai.AuthenticationError),
        ):
            client.models.list()


def test_overload_is_refused_at_once_and_everybody_is_answered(gated, pool):
    limits = {"max_waiting_sentences": 8, "max_request_sentences": 8}
    with LiveServer(gated, **limits) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        gated.gate.forget()
        gated.gate.clear()

        def ask(_):
            started = time.monotonic()
            return client.post("/v1/similarity", json=PAIR), time.monotonic() - started

        answers = [pool.submit(ask, 0)]
        until(lambda: len(gated.calls) == 1)
        # The worker holds four requests of two sentences each; the other twenty are refused.
        answers += [pool.submit(ask, number) for number in range(1, 24)]
        until(lambda: sum(answer.done() for answer in answers) == 20)
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").json()["reason"] == "the queue is full"
        gated.gate.set()
        results = [answer.result(20) for answer in answers]
        refused = [(response, seconds) for response, seconds in results if response.status_code == 429]
        assert len(refused) == 20
        assert sum(response.status_code == 200 for response, _ in results) == 4
        for response, seconds in refused:
            assert int(response.headers["retry-after"]) >= 1
            assert response.json()["error"]["code"] == "overloaded"
            assert seconds < 5
        until(lambda: client.get("/readyz").status_code == 200)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the thread's end is the point
def test_a_dead_worker_never_hangs_and_never_lies(pool):
    with LiveServer(build_model(AllergicModel)) as server, httpx.Client(base_url=server.url, timeout=20) as client:
        sentences = ["dog"] * 8 + [AllergicModel.DEADLY] + ["dog"] * 8
        fields = [{"sentence1": sentence, "sentence2": "park"} for sentence in sentences]
        statuses = [
            response.status_code for response in pool.map(lambda body: client.post("/v1/similarity", json=body), fields)
        ]
        assert statuses[8] == 503
        assert set(statuses) <= {200, 503}
        assert client.post("/v1/embeddings", json={"model": "tiny", "input": "a"}).status_code == 503
        assert [client.get(path).status_code for path in ("/livez", "/readyz", "/health")] == [503] * 3


def held_sentences(service):
    return sum(hosted.waiting_sentences for hosted in service._all)


def test_a_client_that_leaves_takes_its_work_along(gated):
    with LiveServer(gated) as server, httpx.Client(base_url=server.url, timeout=20) as client:
        gated.gate.clear()
        body = b'{"sentence1": "dog", "sentence2": "park"}'
        lines = [
            "POST /v1/similarity HTTP/1.1",
            "Host: x",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        request = "\r\n".join([*lines, "", ""]).encode() + body
        service = server.app.state.service
        leavers = []
        gated.gate.forget()
        for number in range(2):  # the first is being computed, the second waits
            leaver = socket.create_connection(server.address)
            leaver.sendall(request)
            leavers.append(leaver)
            until(lambda held=2 * (number + 1): gated.calls == [2] and held_sentences(service) == held)
        for leaver in leavers:
            leaver.close()
        until(lambda: held_sentences(service) == 0)
        gated.gate.set()
        until(lambda: "simlstm_dropped_requests_total 1.0" in client.get("/metrics").text)
        assert gated.calls == [2], "what nobody waits for is not computed"
        assert client.post("/v1/similarity", json=PAIR).status_code == 200
        assert 'te_request_failure{err="cancelled"} 2.0' in client.get("/metrics").text


def test_a_body_declared_too_large_is_refused_before_it_is_sent(model):
    with LiveServer(model) as server, socket.create_connection(server.address, timeout=10) as connection:
        head = "POST /v1/similarity HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999999999"
        connection.sendall(head.encode() + b"\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_the_event_loop_answers_during_a_long_model_call():
    model = build_model(embedding_size=64, hidden_size=512, max_tokens=256)
    texts = [" ".join(["dog", "park", "guitar", "man"][(i + j) % 4] for j in range(200 + i % 50)) for i in range(600)]
    with LiveServer(model) as server, httpx.Client(base_url=server.url, timeout=120) as client:
        # A computing event loop would hold one probe up for the whole call, every time. A shared machine that stands
        # still for seconds does so once in a while: the best of three calls tells the two apart.
        shares = []
        while len(shares) < 3 and min(shares, default=1) >= 0.5:
            delays, whole = _probe_during(client, texts)
            assert whole > 0.5, "the model call was too short to show anything"
            assert float(np.median(delays)) < 0.1
            shares.append(max(delays) / whole)
        assert min(shares) < 0.5


def _probe_during(client, texts):
    """Return how long each probe of /livez took during one long call, and how long the call took, in seconds."""
    finished = threading.Event()

    def ask():
        response = client.post("/v1/embeddings", json={"model": "tiny", "input": texts})
        finished.set()
        return response

    with ThreadPoolExecutor(1) as executor:
        started = time.monotonic()
        answer = executor.submit(ask)
        delays = []
        while not finished.is_set():
            asked = time.monotonic()
            assert client.get("/livez").status_code == 200
            delays.append(time.monotonic() - asked)
        whole = time.monotonic() - started
    assert answer.result().status_code == 200
    return delays, whole


def test_a_request_in_many_threads_gets_its_own_answer(model, pool):
    pairs = [(first, second) for first in SENTENCES for second in SENTENCES] * 4
    expected = model.score([first for first, _ in pairs], [second for _, second in pairs])
    with LiveServer(model) as server, httpx.Client(base_url=server.url, timeout=30) as client:

        def ask(pair):
            answer = client.post("/v1/similarity", json={"sentence1": pair[0], "sentence2": pair[1]}).json()
            return answer["results"][0]["score"]

        # float32 sums in another batch may differ in the last bits.
        np.testing.assert_allclose(list(pool.map(ask, pairs)), expected, atol=1e-6)


def test_serve_and_sigterm(tmp_path):
    model = build_model(embedding_size=64, hidden_size=512, max_tokens=256)
    model.save_pretrained(tmp_path / "tiny")
    texts = ["dog park guitar man " * 60 + "dog " * (number % 40) + "park " * (number // 40) for number in range(240)]
    settings = {"SIMLSTM_SHUTDOWN_DELAY_SECONDS": "0.3", "SIMLSTM_NAME": "from-environment"}
    with serve_process("--model", str(tmp_path / "tiny"), "--threads", "1", **settings) as serving:
        url = serving.url()
        with httpx.Client(base_url=url, timeout=60) as client, ThreadPoolExecutor(1) as executor:
            assert client.get("/info").json()["model_id"] == "from-environment"
            answer = executor.submit(client.post, "/v1/embeddings", json={"model": "from-environment", "input": texts})
            until(lambda: "te_embed_count 240.0" in client.get("/metrics").text)
            serving.process.send_signal(signal.SIGTERM)
            until(lambda: client.get("/readyz").status_code == 503)
            assert client.get("/readyz").json()["reason"] == "the server is shutting down"
            assert client.get("/livez").status_code == 200
            assert not answer.done(), "nothing was in flight, so the drain was not seen"
            response = answer.result(60)
            assert response.status_code == 200
            assert len(response.json()["data"]) == len(texts)
        # Uvicorn repeats the signal to itself after the drain, so that its parent sees what ended it.
        assert serving.ended() in (0, -signal.SIGTERM)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/livez")
    assert not any("Traceback" in line for line in serving.lines)


def damaged(checkpoint, tmp_path):
    folder = tmp_path / "damaged"
    folder.mkdir()
    for file in checkpoint.iterdir():
        content = file.read_bytes()
        (folder / file.name).write_bytes(content[: len(content) // 2] if file.suffix == ".safetensors" else content)
    return folder


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "cannot serve"),
        (
            {"SIMLSTM_MAX_REQUEST_SENTENCES": "100000"},
            "max_waiting_sentences (16384) is below max_request_sentences (100000)",
        ),
    ],
)
def test_what_cannot_be_served_ends_with_a_sentence(checkpoint, tmp_path, environment, sentence):
    with serve_process("--model", str(damaged(checkpoint, tmp_path)), **environment) as serving:
        assert serving.ended() not in (0, None)
    output = "".join(serving.lines)
    assert sentence in output
    assert "Traceback" not in output
    assert "answers at" not in output


def test_a_device_that_is_not_there_ends_with_a_sentence(checkpoint):
    with serve_process("--model", str(checkpoint), "--device", "toaster") as serving:
        assert serving.ended() not in (0, None)
    output = "".join(serving.lines)
    assert "toaster" in output
    assert "Traceback" not in output


def test_no_model_is_a_usage_error():
    with serve_process() as serving:
        assert serving.ended() == 2
    assert "--model" in "".join(serving.lines)
