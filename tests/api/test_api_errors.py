"""Every failure, in the shape of the dialect whose route was called."""

import pytest

from api.schemas import native, openai
from tests.api.live import until
from tests.api.tiny import AllergicModel, build_model

JSON = {"content-type": "application/json"}
SIMILARITY = ("/v1/similarity", {"sentence1": "a", "sentence2": "b"})
EMBEDDINGS = ("/v1/embeddings", {"model": "tiny", "input": "a"})
DIALECTS = [SIMILARITY, EMBEDDINGS]


def check_shape(response, path, status):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    if path == "/v1/embeddings" or path.startswith("/v1/models"):
        error = openai.ErrorResponse.model_validate(response.json(), extra="forbid").error
        assert error.type == {429: "rate_limit_error"}.get(
            status, "server_error" if status >= 500 else "invalid_request_error"
        )
    else:
        error = native.ErrorResponse.model_validate(response.json(), extra="forbid").error
        assert error.request_id == response.headers["x-request-id"]
    assert error.message
    assert error.code
    return error


@pytest.mark.parametrize(("path", "fields"), DIALECTS)
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
def test_what_is_not_json(client, path, fields, body, message):
    error = check_shape(client.post(path, content=body, headers=JSON), path, 400)
    assert message in error.message
    assert error.code == "invalid_json"


@pytest.mark.parametrize(("path", "fields"), DIALECTS)
@pytest.mark.parametrize("body", [b"", b"[]", b'"text"', b"null", b"7", rb'{"\ud800": 1}'])
def test_json_of_another_shape(client, path, fields, body):
    check_shape(client.post(path, content=body, headers=JSON), path, 422 if path == "/v1/similarity" else 400)


@pytest.mark.parametrize(("path", "fields"), DIALECTS)
@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {},
        JSON | {"content-encoding": "gzip"},
    ],
)
def test_another_content_type(client, path, fields, headers):
    check_shape(client.post(path, content=b"{}", headers=headers), path, 415)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/x+json"])
def test_content_types_of_json(client, content_type):
    body = b'{"sentence1": "a", "sentence2": "b"}'
    assert client.post("/v1/similarity", content=body, headers={"content-type": content_type}).status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/v1/similarity/", "/v1/models/", "/v1/models/other"])
def test_not_found(client, path):
    check_shape(client.get(path), path, 404)


@pytest.mark.parametrize("path", ["/v1/similarity", "/v1/embeddings"])
def test_method_not_allowed(client, path):
    response = client.get(path)
    error = check_shape(response, path, 405)
    assert response.headers["allow"] == "POST"
    assert "POST" in error.message


@pytest.mark.parametrize(("path", "fields"), DIALECTS)
@pytest.mark.parametrize("declared", [True, False])
def test_a_body_beyond_the_limit(serve, path, fields, declared):
    client = serve(max_body_bytes=1024, max_sentence_characters=1000)
    body = b'{"padding": "' + b"x" * 1024 + b'"}'
    content = body if declared else iter([body[:1000], body[1000:]])  # an iterator is sent in chunks, without a length
    error = check_shape(client.post(path, content=content, headers=JSON), path, 413)
    assert "1024 bytes" in error.message


def test_a_body_at_the_limit(serve):
    client = serve(max_body_bytes=1024, max_sentence_characters=1000)
    body = b'{"sentence1": "a", "sentence2": "b"}'.ljust(1024)
    assert client.post("/v1/similarity", content=body, headers=JSON).status_code == 200


@pytest.mark.parametrize(("path", "fields"), DIALECTS)
@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic sesame"}, {"authorization": "sesame"}]
)
def test_without_a_good_key(serve, path, fields, headers):
    client = serve(api_keys="sesame")
    response = client.post(path, json=fields, headers=headers)
    check_shape(response, path, 401)
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("path", "fields"), DIALECTS)
def test_the_key_is_asked_for_before_the_body_is_looked_at(serve, path, fields):
    check_shape(serve(api_keys="sesame").post(path, content=b"{", headers={}), path, 401)


@pytest.mark.parametrize(("path", "fields"), DIALECTS)
def test_the_model_fails(serve, path, fields, caplog):
    poisoned = {key: AllergicModel.POISON if key != "model" else value for key, value in fields.items()}
    client = serve(build_model(AllergicModel))
    error = check_shape(client.post(path, json=poisoned), path, 500)
    assert error.code == "model_failed"
    assert client.post(path, json=fields).status_code == 200
    assert "RuntimeError" in caplog.text
    assert "password" not in caplog.text


@pytest.mark.parametrize(("path", "fields"), DIALECTS)
def test_a_bug_of_the_server_is_a_500_with_the_request_id(serve, path, fields, monkeypatch, caplog):
    client = serve()
    monkeypatch.setattr(client.app.state.service, "compute", None)
    response = client.post(path, json=fields)
    error = check_shape(response, path, 500)
    assert response.headers["x-request-id"] in error.message
    assert response.headers["x-request-id"] in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the thread's end is the point
@pytest.mark.parametrize(("path", "fields"), DIALECTS)
def test_no_worker(serve, path, fields):
    client = serve(build_model(AllergicModel))
    deadly = {key: AllergicModel.DEADLY if key != "model" else value for key, value in fields.items()}
    check_shape(client.post(path, json=deadly), path, 503)
    response = client.post(path, json=fields)
    check_shape(response, path, 503)
    assert response.headers["retry-after"]


@pytest.mark.parametrize(("path", "fields"), DIALECTS)
def test_the_deadline_passes(serve, gated, path, fields):
    client = serve(gated, default_deadline_ms=100)
    gated.gate.clear()
    check_shape(client.post(path, json=fields), path, 504)
    gated.gate.set()
    until(lambda: client.post(path, json=fields).status_code == 200)


def test_a_request_may_shorten_its_deadline(serve, gated):
    client = serve(gated)
    gated.gate.clear()
    path, fields = SIMILARITY
    error = check_shape(client.post(path, json=fields | {"deadline_ms": 50}), path, 504)
    assert "50 ms" in error.message
