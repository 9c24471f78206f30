"""Refusing unparsed requests while the event loop is overloaded."""

import asyncio
import json
import socket
import time

import pytest

from api.app import INFERENCE_ROUTES
from api.lateness import Lateness
from tests.api.dialects import check_shape
from tests.api.live import LiveServer

BODY = b'{"sentence1": "dog", "sentence2": "park"}'


@pytest.fixture
def overloaded(model):
    with LiveServer(model) as server:
        server.app.state.service.lateness.admits = lambda: False
        yield server


def request(path="/v1/similarity", body=BODY, extra="", method="POST"):
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n{extra}\r\n".encode() + body


class Answer:
    """One answer read from a socket, as far as ``check_shape`` looks at it."""

    def __init__(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status_code = int(lines[0].split()[1])
        self.headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        while len(rest) < int(self.headers["content-length"]):
            rest += connection.recv(65536)
        self.content, self.text = rest, rest.decode()

    def json(self):
        return json.loads(self.content)


@pytest.mark.parametrize("path", INFERENCE_ROUTES)
def test_a_whole_request_is_refused_in_its_dialect_and_the_connection_stays(overloaded, path):
    with socket.create_connection(overloaded.address, timeout=10) as connection:
        ids = set()
        for _ in range(2):
            connection.sendall(request(path))
            answer = Answer(connection)
            check_shape(answer, path, 429)
            assert answer.headers["retry-after"] == "1"
            ids.add(answer.headers["x-request-id"])
        assert len(ids) == 2
        connection.sendall(request("/livez", b"", method="GET"))
        assert Answer(connection).status_code == 200
    assert f'simlstm_http_responses_total{{route="{path}",status="429"}} 2.0' in metrics(overloaded)


def metrics(server):
    return server.app.state.service.metrics.render().decode()


@pytest.mark.parametrize(
    "pieces",
    [
        [request()[:-10], request()[-10:]],
        [request(extra="Connection: close\r\n")],
        [request("/v1/similarity?x=1")[:30], request("/v1/similarity?x=1")[30:]],
        [request("/tokenize", b'{"inputs": "dog"}')],
        [request("/v1/models", b"", method="GET")],
    ],
    ids=["in pieces", "closing", "in two heads", "another path", "another method"],
)
def test_what_is_not_whole_or_not_refusable_is_served(overloaded, pieces):
    with socket.create_connection(overloaded.address, timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.05)
        assert Answer(connection).status_code == 200


def test_two_requests_at_once_are_both_answered(overloaded):
    with socket.create_connection(overloaded.address, timeout=10) as connection:
        connection.sendall(request() + request("/v1/embeddings", b'{"model": "tiny", "input": "dog"}'))
        data = b""
        while data.count(b"HTTP/1.1 ") < 2:
            data += connection.recv(65536)


def test_a_late_loop_is_overloaded_and_recovers():
    async def scenario():
        lateness = Lateness()
        lateness.start()
        assert all(lateness.admits() for _ in range(1000)), "a burst is no overload"
        end = time.monotonic() + 5
        while not lateness.is_overloaded:
            assert time.monotonic() < end
            time.sleep(0.05)
            await asyncio.sleep(0)
        assert sum(lateness.admits() for _ in range(1000)) == 48
        await asyncio.sleep(0)
        assert lateness.admits(), "another round of the loop"
        while lateness.is_overloaded:
            assert time.monotonic() < end
            await asyncio.sleep(0.005)
        assert all(lateness.admits() for _ in range(1000))
        lateness.stop()

    asyncio.run(scenario())


def test_readiness_tells_of_it(serve):
    client = serve()
    lateness = client.app.state.service.lateness
    lateness.stop()
    lateness.is_overloaded = True
    assert client.get("/readyz").json()["reason"] == "the server cannot keep up"
    assert client.get("/livez").status_code == 200
