"""Traces: real spans, sent to a real receiver of OTLP over HTTP."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from api.app import create_app
from api.metrics import Metrics
from api.middleware import Envelope
from api.settings import Settings
from api.tracing import TracingError, tracing_from_environment
from simlstm import __version__
from tests.api.live import REPOSITORY, serve_process
from tests.api.tiny import SENTENCES

PAIR = {"sentence1": SENTENCES[0], "sentence2": SENTENCES[1]}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """A receiver of OTLP over HTTP, keeping what it was sent."""

    def __init__(self):
        self.requests = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def spans(self):
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def resource(self):
        return attributes(self.requests[0].resource_spans[0].resource)


def attributes(holder):
    kinds = {"string_value": lambda value: value.string_value, "int_value": lambda value: value.int_value}
    return {entry.key: kinds[entry.value.WhichOneof("value")](entry.value) for entry in holder.attributes}


@pytest.fixture(autouse=True)
def no_tracing_from_outside(monkeypatch):
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def collector(monkeypatch):
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever)
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    yield collector
    collector.server.shutdown()
    thread.join()
    collector.server.server_close()


def test_a_request_is_a_span_below_its_parent(collector, model, caplog):
    caplog.set_level("INFO")
    with TestClient(create_app(Settings(), model)) as client:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "mine"}
        assert client.post("/v1/similarity?q=heliotrope", json=PAIR, headers=headers).status_code == 200
    span = next(span for span in collector.spans() if span.kind == Span.SPAN_KIND_SERVER)
    assert span.name == "POST /v1/similarity"
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    known = attributes(span)
    assert known.pop("simlstm.tokens") > 4
    assert known.pop("simlstm.model", "tiny") == "tiny"
    assert known == {
        "http.request.method": "POST", "http.route": "/v1/similarity", "http.response.status_code": 200,
        "url.scheme": "http", "network.protocol.version": "1.1", "simlstm.sentences": 2, "simlstm.request_id": "mine",
    }  # fmt: skip
    assert span.end_time_unix_nano > span.start_time_unix_nano
    assert collector.resource()["service.name"] == "simlstm"
    assert collector.resource()["service.version"] == __version__
    (answered,) = [record for record in caplog.records if record.getMessage() == "answered"]
    assert answered.fields["trace_id"] == TRACE


def test_failures_and_what_no_route_claims(collector, model, monkeypatch):
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")  # its spans would hold paths and queries
    monkeypatch.setenv("OTEL_SERVICE_NAME", "of-ours")
    with TestClient(create_app(Settings(), model), raise_server_exceptions=False) as client:
        client.get("/heliotrope?q=heliotrope", headers={"traceparent": "heliotrope"})
        client.post("/v1/similarity", json={"heliotrope": 1})
        monkeypatch.setattr(client.app.state.service, "compute", None)
        client.post("/v1/similarity", json=PAIR)
    missing, wrong, broken = [span for span in collector.spans() if span.kind == Span.SPAN_KIND_SERVER]
    assert (missing.name, missing.parent_span_id) == ("GET", b"")
    assert "http.route" not in attributes(missing)
    assert [attributes(span)["http.response.status_code"] for span in (missing, wrong, broken)] == [404, 422, 500]
    # A client's mistake is no error of the server's.
    assert [span.status.code for span in (missing, wrong, broken)] == [
        Status.STATUS_CODE_UNSET, Status.STATUS_CODE_UNSET, Status.STATUS_CODE_ERROR
    ]  # fmt: skip
    assert attributes(broken)["error.type"] == "500"
    assert collector.resource()["service.name"] == "of-ours"
    assert b"heliotrope" not in b"".join(request.SerializeToString() for request in collector.requests)


async def staged(scope, receive, send):
    """An application that tells what its time went to."""
    scope["state"]["timings"] = {"inference": 0.003, "queue": 0.001, "tokenization": 0.002}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def asked(**headers):
    tracing = tracing_from_environment()
    envelope = Envelope(
        staged,
        metrics=Metrics(["/v1/similarity"]),
        inference_routes=["/v1/similarity"],
        max_body_bytes=9,
        tracing=tracing,
    )
    transport = httpx.ASGITransport(envelope)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        await client.post("/v1/similarity", headers=headers)
    tracing.close()


@pytest.mark.anyio
async def test_stages_are_spans_of_the_request(collector):
    await asked()
    *stages, server = collector.spans()
    assert [span.name for span in stages] == ["queue", "tokenization", "inference"]
    assert {span.parent_span_id for span in stages} == {server.span_id}
    assert {span.trace_id for span in stages} == {server.trace_id}
    for before, after in zip(stages, [*stages[1:], None], strict=True):
        assert before.start_time_unix_nano >= server.start_time_unix_nano
        assert before.end_time_unix_nano <= server.end_time_unix_nano
        assert after is None or before.end_time_unix_nano == after.start_time_unix_nano


@pytest.mark.anyio
async def test_what_the_caller_does_not_sample_is_not_sent(collector):
    await asked(traceparent=f"00-{TRACE}-{PARENT}-00")
    assert collector.spans() == []


def test_without_a_collector_there_is_no_tracing_and_no_import(monkeypatch):
    assert tracing_from_environment() is None
    code = (
        "import sys; from api.app import create_app; from api.settings import Settings; create_app(Settings()); "
        "sys.exit(any(name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter')) for name in sys.modules))"
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert tracing_from_environment() is None


def test_another_protocol_is_refused(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(
        TracingError, match="OTEL_EXPORTER_OTLP_PROTOCOL is grpc; traces are sent by http/protobuf only"
    ):
        tracing_from_environment()


def test_a_missing_extra_refuses_the_start(checkpoint, tmp_path):
    hide = "import sys; sys.modules['opentelemetry.exporter'] = None"  # as if it were not installed
    (tmp_path / "sitecustomize.py").write_text(hide)
    path = f"{tmp_path}{os.pathsep}{REPOSITORY}"
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "PYTHONPATH": path}
    with serve_process("--model", str(checkpoint), **settings) as serving:
        assert serving.ended() == 2
    assert "OTEL_EXPORTER_OTLP_ENDPOINT is set, but the package 'opentelemetry" in serving.lines[-1]
    assert 'pip install "simlstm[trace]"' in serving.lines[-1]


def test_a_server_sends_its_last_spans_when_it_is_stopped(checkpoint, collector):
    with serve_process("--model", str(checkpoint)) as serving:
        assert httpx.post(f"{serving.url()}/v1/similarity", json=PAIR).status_code == 200
        serving.process.terminate()
        serving.ended()
    assert "POST /v1/similarity" in [span.name for span in collector.spans()]


def test_a_collector_that_is_not_there_stops_nobody(checkpoint):
    with serve_process("--model", str(checkpoint), OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9") as serving:
        assert httpx.post(f"{serving.url()}/v1/similarity", json=PAIR).status_code == 200
        serving.process.terminate()
        serving.ended()
    assert not any("Traceback" in line for line in serving.lines)
