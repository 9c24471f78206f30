"""Every failure of every route, in the shape of the dialect whose route was called, and as it is documented."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api.dialects import COMPUTING, DOCUMENT, NAMED, NATIVE, REQUESTS, TEI, check_shape, refused, with_texts
from tests.api.live import LiveServer, until
from tests.api.tiny import AllergicModel, build_model

JSON = {"content-type": "application/json"}
EVERYWHERE = {200, 400, 401, 413, 415, 429, 504}

every_route = pytest.mark.parametrize("path", REQUESTS)
computing_routes = pytest.mark.parametrize("path", COMPUTING)


def test_what_is_documented_is_what_these_tests_see():
    for path in REQUESTS:
        statuses = set(EVERYWHERE)
        if path in NATIVE or path in TEI:
            statuses |= {422}
        if path in COMPUTING:
            statuses |= {503, 424 if path in TEI else 500}
        if path in NAMED:
            statuses |= {404}
        assert set(map(int, DOCUMENT["paths"][path]["post"]["responses"])) == statuses, path


@every_route
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "not JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
        (b'{"a": NaN}', "NaN is not a JSON value"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON value"),
        (b'{"a": "\xff"}', "not UTF-8: invalid start byte at byte 7"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not JSON"),
        (b'{"a": "\x00"}', "Invalid control character"),
    ],
)
def test_what_is_not_json(client, path, body, message):
    response = client.post(path, content=body, headers=JSON)
    assert message in check_shape(response, path, 422 if path in TEI else 400)


@every_route
@pytest.mark.parametrize("body", [b"", b"[]", b'"text"', b"null", b"7", rb'{"\ud800": 1}'])
def test_json_of_another_shape(client, path, body):
    check_shape(client.post(path, content=body, headers=JSON), path, refused(path))


@every_route
def test_an_empty_array(client, path):
    fields = {"/": "inputs", "/embed": "inputs", "/tokenize": "inputs", "/v1/embeddings": "input", "/rerank": "texts",
              "/score": "text_2", "/v1/score": "text_2", "/v1/similarity": "sentence2",
              "/v1/similarity/matrix": "sentences2"}  # fmt: skip
    empty = {fields.get(path, "documents"): []}
    if path == "/similarity":
        empty = {"inputs": {"source_sentence": "a", "sentences": []}}
    response = client.post(path, json=REQUESTS[path] | empty)
    assert "is an empty array" in check_shape(response, path, 400 if path in TEI else refused(path))


@every_route
@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {},
        JSON | {"content-encoding": "gzip"},
    ],
)
def test_another_content_type(client, path, headers):
    check_shape(client.post(path, content=b"{}", headers=headers), path, 415)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/x+json"])
def test_content_types_of_json(client, content_type):
    body = b'{"sentence1": "a", "sentence2": "b"}'
    assert client.post("/v1/similarity", content=body, headers={"content-type": content_type}).status_code == 200


def test_a_byte_order_mark_is_no_error(client):
    body = b'\xef\xbb\xbf{"sentence1": "a", "sentence2": "b"}'
    assert client.post("/v1/similarity", content=body, headers=JSON).status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/v1/similarity/", "/v1/models/", "/v1/models/other", "/v1/nothing"])
def test_not_found(client, path):
    check_shape(client.get(path), path, 404, documented=False)


@pytest.mark.parametrize("path", NAMED)
def test_another_model_is_not_found(client, path):
    response = client.post(path, json=REQUESTS[path] | {"model": "rerank-v3.5"})
    assert "no model 'rerank-v3.5' is served here" in check_shape(response, path, 404)


@every_route
def test_method_not_allowed(client, path):
    response = client.put(path)
    message = check_shape(response, path, 405, documented=False)
    allowed = "GET, POST" if path == "/" else "POST"
    assert response.headers["allow"] == allowed
    assert f"PUT is not allowed here; allowed: {allowed}" in message


@every_route
@pytest.mark.parametrize("declared", [True, False])
def test_a_body_beyond_the_limit(serve, path, declared):
    client = serve(max_body_bytes=1024, max_sentence_characters=1000)
    body = b'{"padding": "' + b"x" * 1024 + b'"}'
    content = body if declared else iter([body[:1000], body[1000:]])  # an iterator is sent in chunks, without a length
    assert "1024 bytes" in check_shape(client.post(path, content=content, headers=JSON), path, 413)


def test_a_body_at_the_limit(serve):
    client = serve(max_body_bytes=1024, max_sentence_characters=1000)
    body = b'{"sentence1": "a", "sentence2": "b"}'.ljust(1024)
    assert client.post("/v1/similarity", content=body, headers=JSON).status_code == 200


@every_route
def test_a_text_beyond_the_limit_is_placed(serve, path):
    client = serve(max_sentence_characters=3)
    message = check_shape(client.post(path, json=with_texts(REQUESTS[path], "long")), path, refused(path))
    assert "has 4 characters; 3 are allowed" in message


@every_route
def test_too_many_texts(serve, path):
    client = serve(max_request_sentences=2)
    many = {"/": "inputs", "/embed": "inputs", "/tokenize": "inputs", "/rerank": "texts", "/v1/embeddings": "input",
            "/score": "text_2", "/v1/score": "text_2", "/v1/similarity": "sentence2",
            "/v1/similarity/matrix": "sentences2"}  # fmt: skip
    fields = REQUESTS[path] | {many.get(path, "documents"): ["a"] * 3}
    if path == "/similarity":
        fields = {"inputs": {"source_sentence": "a", "sentences": ["a"] * 3}}
    assert "sentences in one request; 2 are allowed" in check_shape(client.post(path, json=fields), path, refused(path))


@every_route
@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic sesame"}, {"authorization": "sesame"}]
)
def test_without_a_good_key(serve, path, headers):
    client = serve(api_keys="sesame")
    response = client.post(path, json=REQUESTS[path], headers=headers)
    check_shape(response, path, 401)
    assert response.headers["www-authenticate"] == "Bearer"


@every_route
def test_the_key_is_asked_for_before_the_body_is_looked_at(serve, path):
    check_shape(serve(api_keys="sesame").post(path, content=b"{", headers={}), path, 401)


@computing_routes
def test_the_model_fails(serve, path, caplog):
    fields = REQUESTS[path]
    client = serve(build_model(AllergicModel))
    poisoned = with_texts(fields, AllergicModel.POISON)
    assert "password" not in check_shape(client.post(path, json=poisoned), path, 424 if path in TEI else 500)
    assert client.post(path, json=fields).status_code == 200
    assert "RuntimeError" in caplog.text
    assert "password" not in caplog.text


@computing_routes
def test_a_bug_of_the_server_is_a_500_with_the_request_id(serve, path, monkeypatch, caplog):
    client = serve()
    monkeypatch.setattr(client.app.state.service, "compute", None)
    response = client.post(path, json=REQUESTS[path])
    assert response.headers["x-request-id"] in check_shape(response, path, 500, documented=False)
    assert response.headers["x-request-id"] in caplog.text


@computing_routes
def test_no_worker(serve, path):
    fields = REQUESTS[path]
    client = serve(build_model(AllergicModel), restart_limit=0)
    check_shape(client.post(path, json=with_texts(fields, AllergicModel.DEADLY)), path, 503)
    response = client.post(path, json=fields)
    check_shape(response, path, 503)
    assert response.headers["retry-after"]


@computing_routes
def test_the_deadline_passes(serve, gated, path):
    client = serve(gated, default_deadline_ms=100)
    gated.gate.clear()
    check_shape(client.post(path, json=REQUESTS[path]), path, 504)
    gated.gate.set()
    until(lambda: client.post(path, json=REQUESTS[path]).status_code == 200)


@pytest.mark.parametrize("path", NATIVE)
def test_a_request_may_shorten_its_deadline(serve, gated, path):
    client = serve(gated)
    gated.gate.clear()
    assert "50 ms" in check_shape(client.post(path, json=REQUESTS[path] | {"deadline_ms": 50}), path, 504)


@computing_routes
def test_the_queue_is_full(serve, gated, path):
    client = serve(gated, max_waiting_sentences=2, max_request_sentences=2)
    pair = REQUESTS["/v1/similarity"]
    with ThreadPoolExecutor(1) as pool:
        gated.gate.forget()
        gated.gate.clear()
        answer = pool.submit(client.post, "/v1/similarity", json=pair)
        until(lambda: client.get("/readyz").status_code == 503)
        response = client.post(path, json=REQUESTS[path])
        gated.gate.set()
        assert answer.result(20).status_code == 200
    check_shape(response, path, 429)
    assert int(response.headers["retry-after"]) >= 1


def test_a_client_that_leaves_while_it_sends_is_no_failure_of_the_server(model, caplog):
    lines = ["POST /embed HTTP/1.1", "Host: x", "Content-Type: application/json", "Content-Length: 100", "", ""]
    with LiveServer(model) as server:
        with socket.create_connection(server.address) as leaver:
            leaver.sendall("\r\n".join(lines).encode() + b'{"inputs"')
        metrics = server.app.state.service.metrics
        until(lambda: b'te_request_failure{err="cancelled"} 1.0' in metrics.render())
    assert "failed with" not in caplog.text
