"""The OpenAPI document: what is committed is what is served, and its examples are true."""

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from api.app import create_app
from api.settings import Settings
from scripts.openapi import main
from tests.api.dialects import DOCUMENT, REQUESTS, TEI
from tests.api.tiny import build_model

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
GETS = ("/", "/info", "/livez", "/readyz", "/health", "/metrics", "/v1/models", "/v1/models/{name}")
OPERATIONS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]


def schema_of(content):
    schema = content["schema"]
    name = schema.get("$ref", "").rpartition("/")[2]
    return DOCUMENT["components"]["schemas"][name] if name else schema


def examples_of(content):
    return [content["example"]] if "example" in content else schema_of(content).get("examples", [])


def test_the_committed_document_is_the_served_one(client):
    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == client.get("/openapi.json").json(), (
        "run: python -m scripts openapi"
    )


def test_the_command_writes_it(tmp_path, capsys):
    main(tmp_path / "document.json")
    assert (tmp_path / "document.json").read_bytes() == COMMITTED.read_bytes()


def test_it_says_the_same_whatever_is_served():
    settings = Settings(api_keys="sesame", max_request_sentences=7, name="other")
    assert create_app(settings, build_model(head="cosine")).openapi() == DOCUMENT


def test_every_route_is_in_it():
    assert {path for path, method in OPERATIONS if method == "post"} == set(REQUESTS)
    assert {path for path, method in OPERATIONS if method == "get"} == set(GETS)
    assert "HTTPValidationError" not in json.dumps(DOCUMENT)


def test_statuses_of_what_has_no_body():
    for path in ("/info", "/v1/models", "/v1/models/{name}"):
        expected = {"200", "401"} | (set() if path == "/v1/models" else {"404"})
        assert set(DOCUMENT["paths"][path]["get"]["responses"]) == expected


@pytest.mark.parametrize("path", REQUESTS)
def test_examples_of_requests_are_answered_in_the_documented_shape(serve, path):
    client = serve()
    operation = DOCUMENT["paths"][path]["post"]
    requests = examples_of(operation["requestBody"]["content"]["application/json"])
    assert requests
    for fields in requests:
        served = fields | ({"model": "tiny"} if "model" in fields else {})
        response = client.post(path, json=served)
        assert response.status_code == 200, response.text
        adapter(client.app, path).validate_python(response.json(), extra="forbid")


@pytest.mark.parametrize("path", REQUESTS)
def test_examples_of_answers_have_the_documented_shape(path):
    app = create_app(Settings(), build_model())
    responses = DOCUMENT["paths"][path]["post"]["responses"]
    examples = examples_of(responses["200"]["content"]["application/json"])
    assert examples
    for example in examples:
        adapter(app, path).validate_python(example, extra="forbid")
    for status, response in responses.items():
        assert examples_of(response["content"]["application/json"]), (path, status)
        assert response["description"]


@pytest.mark.parametrize("path", ["/info", "/v1/models", "/v1/models/{name}"])
def test_answers_without_a_request_have_examples(path):
    for status, response in DOCUMENT["paths"][path]["get"]["responses"].items():
        assert examples_of(response["content"]["application/json"]), (path, status)


@pytest.mark.parametrize("path", REQUESTS)
def test_headers_are_sent_as_they_are_documented(client, path):
    documented = DOCUMENT["paths"][path]["post"]["responses"]["200"].get("headers", {})
    assert ("x-truncated-inputs" in documented) is (path != "/tokenize")
    assert ("x-queue-time" in documented) is (path in TEI and path != "/tokenize")
    sent = client.post(path, json=REQUESTS[path]).headers
    assert set(documented) <= set(sent)


def adapter(app, path):
    (route,) = [route for route in app.routes if route.path == path and "POST" in route.methods]
    return TypeAdapter(route.response_model)
