"""The generators of load: what they send, what they count, and what they call a failure."""

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.benchmarking.serving.generator import OpenLoop
from scripts.benchmarking.serving.overload import count_wrong, run_generator
from scripts.benchmarking.serving.records import Spread
from scripts.benchmarking.serving.wire import Answer, AnswerReader, Client, post_request
from scripts.benchmarking.serving.wrk import read_figures, run_wrk, wrk_version

NEEDS_WRK = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")


class _Scripted(BaseHTTPRequestHandler):
    """Answers each route with the status of its name, and keeps what came."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one piece
    received: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append((self.path, body))
        status = int(self.path.removeprefix("/"))
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def scripted() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    received: list[tuple[str, bytes]] = []
    handler = type("Handler", (_Scripted,), {"received": received})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def bodies(tmp_path: Path) -> Path:
    file = tmp_path / "bodies.jsonl"
    file.write_bytes(b'{"a":1}\n{"b":2}\n{"c":3}\n')
    return file


@NEEDS_WRK
def test_wrk_sends_the_bodies_in_their_order_from_where_it_is_told(scripted, bodies: Path):
    url, received = scripted
    figures = run_wrk(url, "/200", bodies, clients=1, seconds=0.5, start=1)
    assert [body for _, body in received[:4]] == [b'{"b":2}', b'{"c":3}', b'{"a":1}', b'{"b":2}']
    assert abs(figures.requests - len(received)) <= 1
    assert 0 < figures.p50_ms <= figures.p95_ms <= figures.p99_ms
    assert figures.requests_per_second == pytest.approx(figures.requests / figures.seconds)
    assert wrk_version().startswith("wrk ")


@NEEDS_WRK
@pytest.mark.parametrize(("path", "said"), [("/429", "were errors"), ("/0", "connections broke")])
def test_no_figure_comes_from_failing_requests(scripted, bodies: Path, path: str, said: str):
    with pytest.raises(RuntimeError, match=rf"{said}.*no speed reported"):
        run_wrk(scripted[0], path, bodies, clients=2, seconds=1)


def test_wrks_output_is_read_among_its_other_lines():
    line = '{"requests":120,"seconds":2.000100,"p50_ms":1.5,"p95_ms":2.0,"p99_ms":9.25,"refused":0,"broken":1,"late":2}'
    figures = read_figures(f"Running 2s test\n  1 threads\nFIGURES {line}\n")
    assert (figures.requests, figures.p99_ms, figures.broken, figures.late) == (120, 9.25, 1, 2)
    with pytest.raises(RuntimeError, match="it said: unable to connect"):
        read_figures("unable to connect to 127.0.0.1:1 Connection refused\n")


@pytest.mark.parametrize(("status", "where"), [(200, "accepted"), (429, "refused"), (503, 503), (0, 0)])
def test_the_open_loop_counts_answers_by_their_kind(scripted, bodies: Path, status: int, where: str | int):
    url, received = scripted
    plan = OpenLoop(url=url, path=f"/{status}", bodies=bodies, rate=100, seconds=0.5, patience=5)
    arrivals = run_generator(plan)
    assert 20 < arrivals.sent < 100
    assert len(received) == arrivals.sent
    counted = {"accepted": len(arrivals.accepted), "refused": len(arrivals.refused)} | arrivals.other
    assert {kind: number for kind, number in counted.items() if number} == {where: arrivals.sent}
    assert all(latency > 0 for latency in arrivals.accepted + arrivals.refused)
    assert arrivals.answered_in_time <= len(arrivals.accepted)
    kept = -(-len(arrivals.accepted) // 50)
    assert [(position in range(3), answer) for position, answer in arrivals.kept] == [(True, "{}")] * kept


def test_kept_answers_are_held_against_the_scores_of_what_was_asked():
    scores = np.array([[0.5, 0.25], [0.75, 1]], np.float32)
    answer = json.dumps({"results": [{"index": 1, "score": 1.0}, {"index": 0, "score": 0.75}]})
    assert count_wrong([(1, answer)], scores) == 0
    assert count_wrong([(0, answer), (1, answer.replace("0.75", "0.7501")), (1, "{}"), (1, "no JSON")], scores) == 4


def test_waiting_for_a_connection_counts(scripted, bodies: Path):
    """With one connection and far more arrivals than it carries, the last answers are late by what piled up."""
    url, _ = scripted
    plan = OpenLoop(url=url, path="/200", bodies=bodies, rate=50_000, seconds=0.2, connections=1, patience=60)
    arrivals = run_generator(plan)
    assert len(arrivals.accepted) == arrivals.sent
    assert arrivals.answered_in_time < arrivals.sent
    assert arrivals.accepted[-1] > 3 * arrivals.accepted[0]


@given(bodies=st.lists(st.binary(max_size=40), min_size=1, max_size=4), cut=st.integers(1, 50))
def test_answers_are_whole_however_they_arrive(bodies: list[bytes], cut: int):
    reader = AnswerReader()
    for body in bodies:
        data = b"HTTP/1.1 207 Fine\r\ncontent-length: %d\r\nx: y\r\n\r\n" % len(body) + body
        pieces = [data[start : start + cut] for start in range(0, len(data), cut)]
        found = [reader.feed(piece) for piece in pieces]
        assert found == [None] * (len(pieces) - 1) + [Answer(207, body)]


def test_what_is_no_answer_is_refused():
    with pytest.raises(ValueError, match="no HTTP answer with a Content-Length"):
        AnswerReader().feed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")


def test_a_client_says_how_it_was_refused(scripted):
    client = Client(scripted[0])
    assert client.ask(post_request("/200", b"[]"), "it") == {}
    with pytest.raises(RuntimeError, match="it: answered with status 503"):
        client.ask(post_request("/503", b"[]"), "it")
    client.close()


def test_quartiles_lie_among_the_rounds():
    assert Spread.over([3.0]) == Spread(median=3, quartiles=(3, 3))
    assert Spread.over([4.0, 1.0, 2.0]) == Spread(median=2, quartiles=(1.5, 3))
