"""API keys and what browsers need, over real sockets."""

import httpx
import pytest

from api.keys import hash_key, is_accepted
from tests.api.live import LiveServer
from tests.api.tiny import SENTENCES

PAIR = {"sentence1": SENTENCES[0], "sentence2": SENTENCES[1]}
OPEN = ("/livez", "/readyz", "/health", "/metrics", "/", "/docs", "/openapi.json")
GUARDED = ("/v1/models", "/v1/models/tiny", "/info")


def test_a_key_is_accepted_as_a_whole_only():
    hashes = [hash_key(key) for key in ("sesame", "other-key", "last")]
    assert all(is_accepted(key, hashes) for key in ("sesame", "other-key", "last"))
    assert not any(is_accepted(key, hashes) for key in ("", "sesam", "sesame2", "Sesame", "sesame,other-key", "ü" * 9))
    assert not is_accepted("", [])


@pytest.fixture(scope="module")
def client(model, tmp_path_factory):
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text("# of the batch jobs\nfrom-file\n")
    settings = {"api_keys": "sesame, other-key", "api_keys_file": str(file), "cors_origins": "https://a.example"}
    with LiveServer(model, **settings) as server, httpx.Client(base_url=server.url, timeout=20) as client:
        yield client


def test_keys_guard_what_computes_and_describes(client):
    for key in ("sesame", "other-key", "from-file"):
        headers = {"authorization": f"bearer {key}"}
        assert client.post("/v1/similarity", json=PAIR, headers=headers).status_code == 200
        assert [client.get(path, headers=headers).status_code for path in GUARDED] == [200] * 3
    assert [client.get(path).status_code for path in GUARDED] == [401] * 3
    assert [client.get(path).status_code for path in OPEN] == [200] * len(OPEN)


@pytest.mark.parametrize(
    ("authorization", "what"),
    [
        (None, "is missing"),
        ("Bearer", "is missing"),
        ("Bearer wrong", "is not accepted"),
        ("Basic sesame", "is not accepted"),
        ("sesame", "is missing"),
        ("Bearer sesame, other-key", "is not accepted"),
        ("Bearer \xfc\xff", "is not accepted"),
    ],
)
def test_a_wrong_key_is_refused_in_words_that_do_not_repeat_it(client, authorization, what):
    headers = {} if authorization is None else {b"authorization": authorization.encode("latin-1")}
    response = client.post("/v1/similarity", json=PAIR, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["error"]["message"] == (f"the API key {what}; send the header Authorization: Bearer <key>")


def preflight(client, origin="https://a.example", **headers):
    asks = {"origin": origin, "access-control-request-method": "POST"}
    return client.options("/v1/embeddings", headers=asks | headers)


def test_a_preflight_needs_no_key_and_lets_a_clients_headers_through(client):
    # What the official JavaScript client sends from a browser.
    wanted = "authorization,content-type,x-stainless-lang,x-stainless-retry-count"
    response = preflight(client, **{"access-control-request-headers": wanted})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "https://a.example"
    allowed = {name.strip() for name in response.headers["access-control-allow-headers"].lower().split(",")}
    assert set(wanted.split(",")) <= allowed
    assert "POST" in response.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in response.headers


def test_a_foreign_page_is_not_let_in(client):
    refused = preflight(client, "https://b.example", **{"access-control-request-headers": "authorization"})
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers
    answered = client.get("/livez", headers={"origin": "https://b.example"})
    assert "access-control-allow-origin" not in answered.headers


def test_browsers_can_read_failures(client):
    origin, key = {"origin": "https://a.example"}, {"authorization": "Bearer sesame"}
    failures = [
        client.post("/v1/similarity", json=PAIR, headers=origin),
        client.post("/v1/similarity", json={}, headers=origin | key),
        client.post("/v1/similarity", content="{", headers=origin | key | {"content-type": "application/json"}),
        client.post("/v1/similarity", content=b"x" * (4 * 2**20 + 1), headers=origin | key),
        client.get("/nothing", headers=origin | key),
        client.get("/v1/similarity", headers=origin | key),
    ]
    assert [response.status_code for response in failures] == [401, 422, 400, 415, 404, 405]
    for response in failures:
        assert response.headers["access-control-allow-origin"] == "https://a.example"
        exposed = response.headers["access-control-expose-headers"]
        assert {"x-request-id", "retry-after", "x-truncated-inputs", "x-total-time"} <= set(exposed.split(", "))


def test_without_origins_there_is_no_cors(serve):
    client = serve()
    assert "access-control-allow-origin" not in client.get("/livez", headers={"origin": "https://a.example"}).headers
    assert preflight(client).status_code == 405


def test_all_origins(serve):
    response = preflight(serve(cors_origins="*"), "https://anywhere.example")
    assert response.headers["access-control-allow-origin"] == "*"
