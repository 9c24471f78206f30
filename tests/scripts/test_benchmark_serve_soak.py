"""The soak: right answers are counted as right, wrong and missing ones are noticed, and memory is watched."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from os import getpid
from pathlib import Path

import numpy as np
import pytest

from scripts.benchmarking.page import write_page
from scripts.benchmarking.results import read_report
from scripts.benchmarking.serving.agreement import difference
from scripts.benchmarking.serving.counters import read_counts
from scripts.benchmarking.serving.questions import KINDS, check_first, make_questions
from scripts.benchmarking.serving.records import SoakReport
from scripts.benchmarking.serving.servers import Server
from scripts.benchmarking.serving.soak import growth_of, measure_soak
from scripts.benchmarking.serving.workload import draw_sentences
from scripts.benchmarking.tables import report_text
from simlstm.models.similarity import SimilarityModel
from tests.scripts.test_benchmark_serve import run, tiny_model

SENTENCES = draw_sentences(64)


@pytest.fixture(scope="module")
def model() -> SimilarityModel:
    return tiny_model()


@contextmanager
def small_server(model: SimilarityModel, change: Callable[[int, dict], dict | None]) -> Iterator[Server]:
    """Serve one route with the model's scores; ``change`` may falsify an answer by its number, or leave it out."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        asked = 0

        def do_GET(self) -> None:
            self.answer({"paths": {"/v1/similarity": {}}, "data": [{"id": "tiny"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            sides = [[side] if isinstance(side, str) else side for side in (body["sentence1"], body["sentence2"])]
            longest = max(map(len, sides))
            with lock:
                scores = model.score(*(side * longest if len(side) == 1 else side for side in sides))
                Handler.asked += 1
                results = [{"index": index, "score": float(score)} for index, score in enumerate(scores)]
                content = change(Handler.asked, {"results": results})
            if content is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
            else:
                self.answer(content)

        def answer(self, content: dict) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Server("small", f"http://127.0.0.1:{server.server_port}", getpid())
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def soaked(model: SimilarityModel, change: Callable[[int, dict], dict | None]) -> SoakReport:
    with small_server(model, change) as server:
        return measure_soak(server, model, SENTENCES, seconds=1.0, clients=2, questions=4)


def one_wrong(number: int, content: dict) -> dict:
    if number == 20:
        content["results"][0]["score"] += 3e-5
    return content


def one_short(number: int, content: dict) -> dict:
    return {"results": content["results"][1:]} if number == 20 else content


def one_shapeless(number: int, content: dict) -> dict:
    return {"outcome": []} if number == 20 else content


def test_right_answers_are_right(model: SimilarityModel):
    report = soaked(model, lambda _, content: content)
    assert (report.wrong, report.failed) == (0, 0)
    assert list(report.routes) == ["similarity, one to one", "similarity, one to many", "similarity, pairwise"]
    assert all(route.meaning == "the pair head's score" and route.answered for route in report.routes.values())
    assert "embeddings" in report.not_offered
    assert report.computed_sentences is None, "this server does not say"
    assert len(report.memory_mib) > 5
    assert "every answer was right" in report_text(report.model_copy(update={"memory_mib": [2.0, 3.0]}))


@pytest.mark.parametrize("change", [one_wrong, one_short, one_shapeless])
def test_a_single_wrong_answer_is_noticed(model: SimilarityModel, change: Callable[[int, dict], dict]):
    report = soaked(model, change)
    assert (report.wrong, report.failed) == (1, 0)
    assert len(report.trouble) == 1
    assert "**not every answer was right**" in report_text(report)
    assert not any(sentence in report.model_dump_json() for sentence in SENTENCES), "no text is kept"


def test_a_missing_answer_is_a_failure_and_the_soak_goes_on(model: SimilarityModel):
    report = soaked(model, lambda number, content: None if number == 20 else content)
    assert (report.wrong, report.failed) == (0, 1)
    assert sum(route.answered for route in report.routes.values()) > 20


def test_numbers_that_mean_nothing_are_refused_at_once(model: SimilarityModel):
    with pytest.raises(RuntimeError, match=r"one to one: the first answer is not the pair head's score: off by"):
        soaked(tiny_model(seed=1), lambda _, content: {"results": [{"index": 0, "score": 0.123}]})


def test_the_command_soaks_a_real_server(tmp_path: Path):
    tiny_model().save_pretrained(tmp_path / "tiny")
    out = tmp_path / "results" / "serve-soak-cpu.json"
    result = run("serve", "--soak", "--model", tmp_path / "tiny", "--seconds", 2, "--texts", 64, "--json", out)
    assert result.exit_code == 0, result.output
    report = read_report(out)
    assert isinstance(report, SoakReport)
    assert report.clients == 8
    assert report.cached_sentences > report.computed_sentences > 0, "the tiny model's vectors all fit"
    assert {"similarity, pairwise", "embeddings", "embeddings, base64"} <= set(report.routes)
    assert all(route.answered for route in report.routes.values())
    (tmp_path / "README.md").write_text("<!-- begin serve-soak-cpu -->\n<!-- end serve-soak-cpu -->\n")
    pytest.importorskip("matplotlib")
    assert [file.name for file in write_page(tmp_path)] == ["serve-soak-cpu-memory.svg", "README.md"]


def test_the_commands_status_tells_of_wrong_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from scripts.benchmarking.serving import command

    model = tiny_model()
    report = soaked(model, one_wrong)
    monkeypatch.setattr(command, "soak", lambda **_: report)
    result = run("serve", "--soak")
    assert result.exit_code == 1
    assert "1 wrong answers and 0 failed requests" in result.output


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_kind_is_right_for_the_models_own_values_and_for_no_others(model: SimilarityModel, kind):
    for question in make_questions(kind, model, "tiny", SENTENCES, model.encode(SENTENCES), count=3):
        assert question.request.startswith(f"POST {kind.path} HTTP/1.1\r\n".encode())
        right = question.right
        assert len(right) == (kind.first if not kind.second or kind.pairwise else kind.first * kind.second)
        assert difference(right, right) == 0
        assert difference(right[:-1], right) == float("inf")
        assert difference(right - 1e-3, right) == pytest.approx(1e-3, rel=1e-3)
        assert difference(np.full_like(right, np.nan), right) == float("inf")


def test_a_rerank_that_is_not_sorted_is_wrong(model: SimilarityModel):
    (kind,) = [kind for kind in KINDS if kind.name == "rerank"]
    (question,) = make_questions(kind, model, "tiny", SENTENCES, model.encode(SENTENCES), count=1)
    results = [{"index": index, "score": float(score)} for index, score in enumerate(question.right)]
    ranked = sorted(results, key=lambda result: -result["score"])
    check_first(kind, question, ranked)
    with pytest.raises(RuntimeError, match="rerank: the first answer is not the pair head's score, from 0 to 1: off"):
        check_first(kind, question, [result | {"score": 2 * result["score"] - 1} for result in ranked])
    with pytest.raises(ValueError, match="not sorted"):
        question.read(ranked[::-1])


def test_counters_are_read_however_they_are_written():
    text = 'simlstm_cache_hits_total{model="a"} 3.0\nsimlstm_cache_hits_total{model="b"} 1.5e+06\n'
    assert read_counts(text) is None
    assert read_counts(text + 'simlstm_cache_misses_total{model="a"} 0.0\n') == (1_500_003, 0)


def test_growth_is_told_from_noise():
    flat = [100.0 + (number % 2) for number in range(100)]
    assert growth_of([50.0] * 20 + flat)[0] == pytest.approx(0, abs=2e-3)
    rising = [100.0 + number for number in range(101)]
    assert growth_of(rising) == (pytest.approx(80 / 120), pytest.approx(80 / 120))
    assert growth_of([3.0]) == (0.0, 0.0)
