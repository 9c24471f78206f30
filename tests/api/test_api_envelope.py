"""The envelope around an application: early refusals, headers, counters, the last resort."""

import asyncio

import httpx
import pytest

from api.errors import ApiError
from api.metrics import Metrics
from api.middleware import Envelope

ROUTES = ("/v1/similarity", "/v1/embeddings")


async def talkative(scope, receive, send):
    """An application that reads the whole body, tells of its request, and answers; /half fails halfway."""
    while (await receive()).get("more_body"):
        pass
    scope["state"] |= {"method": "batch", "sentences": 3, "tokens": 9, "model": "m"}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    if scope["path"] == "/half":
        raise RuntimeError("halfway")
    await send({"type": "http.response.body", "body": b"fine"})


def overloaded(scope):
    if scope["path"] in ROUTES:
        return ApiError(429, "overloaded", "the queue is full", headers={"Retry-After": "3"})
    return None


@pytest.fixture
def metrics():
    return Metrics(ROUTES)


def client_of(metrics, **options):
    envelope = Envelope(talkative, metrics=metrics, inference_routes=ROUTES, max_body_bytes=100, **options)
    return httpx.AsyncClient(transport=httpx.ASGITransport(envelope, raise_app_exceptions=False), base_url="http://x")


def value(metrics, sample):
    return float(next(line for line in metrics.render().decode().splitlines() if line.startswith(sample)).split()[-1])


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.anyio
async def test_an_early_refusal_reads_no_body_and_speaks_the_dialect(metrics):
    async def body():
        pytest.fail("the body was read")
        yield b""

    async with client_of(metrics, refuse_early=overloaded) as client:
        native = await client.post("/v1/similarity", content=body(), headers={"x-request-id": "mine"})
        openai = await client.post("/v1/embeddings", content=body())
        other = await client.post("/other")
    assert (native.status_code, openai.status_code, other.status_code) == (429, 429, 200)
    assert native.headers["retry-after"] == "3"
    assert native.json()["error"] == {
        "code": "overloaded", "message": "the queue is full", "field": None, "request_id": "mine"
    }  # fmt: skip
    assert openai.json()["error"]["type"] == "rate_limit_error"
    assert value(metrics, 'te_request_failure{err="overloaded"}') == 2
    assert value(metrics, 'te_request_count{method="single"}') == 2
    assert value(metrics, 'simlstm_http_responses_total{route="/v1/similarity",status="429"}') == 1


@pytest.mark.anyio
async def test_each_answer_bears_each_header_once(metrics):
    async with client_of(metrics) as client:
        response = await client.post("/v1/similarity", headers={"x-request-id": "mine"})
        again = await client.post("/v1/similarity")
    names = [name for name, _ in response.headers.raw]
    assert len(set(names)) == len(names) == 7
    assert response.headers["x-request-id"] == "mine"
    assert len(again.headers["x-request-id"]) == 32
    assert response.headers["content-type"] == "text/plain"
    assert value(metrics, 'te_request_success{method="batch"}') == 2


@pytest.mark.anyio
async def test_a_failure_halfway_is_counted_and_not_answered_twice(metrics, caplog):
    async with client_of(metrics) as client:
        assert (await client.post("/half")).status_code == 200
    assert "RuntimeError" in str([record.fields for record in caplog.records])
    assert "halfway" not in str([vars(record) for record in caplog.records if record.levelname == "INFO"])


@pytest.mark.anyio
async def test_a_body_grows_up_to_the_limit_only(metrics):
    async def pieces(count):
        for _ in range(count):
            yield b"x" * 10

    async with client_of(metrics) as client:
        assert (await client.post("/v1/similarity", content=pieces(10))).status_code == 200
        response = await client.post("/v1/similarity", content=pieces(11))
    # The application has no handler for it: the envelope answers by itself.
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")
    assert value(metrics, 'te_request_failure{err="validation"}') == 1


@pytest.mark.anyio
async def test_a_method_of_the_callers_own_is_not_written(metrics, caplog):
    caplog.set_level("INFO", logger="api")
    async with client_of(metrics) as client:
        await client.request("HELIOTROPE", "/v1/similarity")
    (record,) = [record for record in caplog.records if record.name == "api.middleware"]
    assert record.fields["method"] == "_OTHER"
    assert "HELIOTROPE" not in str(vars(record))


def test_a_models_series_exist_at_zero(metrics):
    metrics.add_model("en")
    for sample in (
        'simlstm_batch_token_budget{model="en"}', 'simlstm_worker_restarts_total{model="en"}',
        'simlstm_reloads_total{model="en",result="taken_up"}', 'simlstm_reloads_total{model="en",result="refused"}',
    ):  # fmt: skip
        assert value(metrics, sample) == 0


@pytest.mark.anyio
async def test_what_a_shutdown_cuts_off_is_answered_in_its_dialect(metrics):
    async def endless(scope, receive, send):
        await asyncio.sleep(60)

    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    envelope = Envelope(endless, metrics=metrics, inference_routes=ROUTES, max_body_bytes=100)
    scope = {"type": "http", "method": "POST", "path": "/v1/similarity", "headers": [], "query_string": b""}
    task = asyncio.create_task(envelope(scope, receive, send))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sent[0]["status"] == 503
    assert (b"retry-after", b"1") in sent[0]["headers"]
    assert b"the server is shutting down" in sent[1]["body"]
