"""The load benchmark: a short real run of all its parts, the page made of it, and what it refuses."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from scripts.benchmark import main
from scripts.benchmarking.page import write_page
from scripts.benchmarking.results import read_report
from scripts.benchmarking.serving import agreement, closed, command, overload, servers
from scripts.benchmarking.serving.records import ServeReport
from scripts.benchmarking.serving.workload import Workload, draw_sentences
from scripts.benchmarking.tables import report_text
from simlstm.models.config import ModelConfig
from simlstm.models.siamese import SiameseModel
from simlstm.models.similarity import SimilarityModel
from simlstm.text.tokenizer import Tokenizer
from tests.scripts.test_make_targets import planned

NEEDS_WRK = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")


def run(*arguments: object):
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def tiny_model(seed: int = 0) -> SimilarityModel:
    tokenizer = Tokenizer.train(draw_sentences(64), kind="word")
    torch.manual_seed(seed)
    config = ModelConfig(vocabulary_size=tokenizer.vocabulary_size, embedding_size=8, hidden_size=8, pooling="mean_max")
    return SimilarityModel(SiameseModel.from_config(config).eval(), tokenizer, config=config, name="tiny").freeze()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "tiny"
    tiny_model().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def plain_server(checkpoint: Path):
    with servers.started(servers.plain(str(checkpoint))) as server:
        yield server


@NEEDS_WRK
@pytest.mark.slow
def test_every_part_is_measured_written_and_drawn(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("matplotlib")
    out = tmp_path / "results" / "serve-cpu.json"
    monkeypatch.setattr(overload, "LOADS", (0.5, 3.0))
    result = run("serve", "--model", checkpoint, "--client", 2, "--rounds", 1, "--seconds", 1, "--texts", 64,
                 "--json", out)  # fmt: skip
    assert result.exit_code == 0, result.output
    report = read_report(out)
    assert isinstance(report, ServeReport)
    assert [(row.part, row.clients, row.things) for row in report.rows] == [
        ("single", 2, 1), ("embeddings", 2, 32), ("pairs", 2, 32),
    ]  # fmt: skip
    assert [list(row.figures) for row in report.rows] == [
        ["simlstm", "plain route"], ["simlstm", "simlstm, base64"], ["simlstm"],
    ]  # fmt: skip
    assert report.parity["plain route"] <= agreement.PLAIN_TOLERANCE
    assert report.latency.pairs == 400
    assert [(row.things, row.load) for row in report.overload] == [
        (things, load) for things in (1, 32) for load in (0.5, 3)
    ]
    assert all(
        row.offered.median > 0 and row.memory_peak_mib.median >= row.memory_after_mib.median > 0
        for row in report.overload
    )
    assert report.skipped == {"infinity + MiniLM": "--infinity did not name its program"}
    assert report_text(report) in result.output
    page = tmp_path / "README.md"
    page.write_text("<!-- begin serve-cpu -->\n<!-- end serve-cpu -->\n", encoding="utf-8")
    plots = {file.name for file in write_page(tmp_path)} - {"README.md"}
    assert plots == {"serve-cpu-throughput.svg", "serve-cpu-p99.svg", "serve-cpu-overload.svg"}
    assert "| 2 |" in page.read_text(encoding="utf-8")


def resident(process: int) -> float:
    """Resident memory of one process in MiB, all of what it shares included."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def runs(process: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked about yet does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_servers_end_with_all_their_processes(checkpoint: Path):
    from scripts.benchmarking.serving.memory import descendants, proportional_mib, watched

    with servers.started(servers.ours(str(checkpoint), {})) as server:
        processes = descendants(server.process)
        assert server.process in processes
        assert proportional_mib(server.process) > 50
        assert proportional_mib(server.process) < sum(map(resident, processes)), "shared pages count once"
        with watched(server.process) as samples:
            time.sleep(1)
        assert len(samples) > 2
        assert command.served_name(server) == "tiny"
    end = time.monotonic() + 20
    while any(map(runs, processes)):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_benchmark_that_is_terminated_takes_its_servers_along(checkpoint: Path):
    script = (
        "import sys, time; from scripts.benchmarking.serving import servers\n"
        "with servers.started(servers.plain(sys.argv[1])) as server:\n"
        "    print(server.process, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(checkpoint)]
    with subprocess.Popen(command, cwd=servers.REPOSITORY, stdout=subprocess.PIPE, text=True) as benchmark:
        process = int(benchmark.stdout.readline())
        assert Path(f"/proc/{process}").exists()
        benchmark.terminate()
    assert benchmark.returncode != 0
    assert not Path(f"/proc/{process}").exists()


def test_a_server_that_does_not_start_shows_why():
    with (
        pytest.raises(RuntimeError, match=r"simlstm ended with status \d+; it wrote: .*nowhere"),
        servers.started(servers.ours("runs/nowhere", {})),
    ):
        pass


def test_another_checkpoint_behind_the_plain_route_is_refused(plain_server: servers.Server, checkpoint: Path):
    workload = Workload(draw_sentences(64), "tiny")
    assert agreement.check_plain(plain_server, workload, SimilarityModel.from_pretrained(checkpoint)) < 1e-5
    with pytest.raises(RuntimeError, match=r"plain route differs from the model itself by .* no speed reported"):
        agreement.check_plain(plain_server, workload, tiny_model(seed=1))


def test_another_checkpoint_behind_ours_is_refused(checkpoint: Path):
    workload = Workload(draw_sentences(64), "tiny")
    with servers.started(servers.ours(str(checkpoint), {})) as server:
        assert agreement.check_ours(server, workload, SimilarityModel.from_pretrained(checkpoint)) < 1e-5
        with pytest.raises(RuntimeError, match=r"simlstm differs from the model itself"):
            agreement.check_ours(server, workload, tiny_model(seed=1))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--part", "dance"), "--part: 'dance' came; single, embeddings, pairs, latency, overload are allowed"),
        (("--seconds", 0), "--seconds: 0.0 came; it must be above 0"),
        (("--texts", 63), "--texts: 63 came; at least 64"),
        (("--device", "cuda"), "--device cuda: serve measures servers on the CPU"),
        (("--model", "runs/nowhere", "--part", "latency", "--texts", 64), "runs/nowhere"),
        (("--soak", "--client", 1, "--client", 2), "--client: 2 numbers came; a soak takes one"),
    ],
)
def test_mistakes_are_told_before_anything_is_started(arguments: tuple[object, ...], said: str):
    result = run("serve", *arguments)
    assert result.exit_code == 1
    assert said in result.output


@NEEDS_WRK
def test_a_missing_infinity_is_named(tmp_path: Path):
    result = run("serve", "--texts", 64, "--infinity", tmp_path / "infinity_emb")
    assert result.exit_code == 1
    assert "infinity_emb: no such file; name the program infinity_emb" in result.output
    program = tmp_path / "infinity_emb"
    program.touch()
    result = run("serve", "--texts", 64, "--infinity", program, "--minilm", tmp_path)
    assert result.exit_code == 1
    assert "run `make minilm`" in result.output


def test_a_missing_wrk_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    result = run("serve", "--part", "single", "--texts", 64)
    assert result.exit_code == 1
    assert "Install the package wrk of Debian" in result.output


def test_bodies_ask_about_each_sentence_once():
    sentences = draw_sentences(200)
    workload = Workload(sentences, "tiny")
    assert len({text for pair in workload.pairs for text in pair}) == len(sentences) == 200
    assert [len(body["sentence1"]) for body in workload.pair_batches()] == [32, 32, 32]
    assert all(len(body["input"]) == 32 for body in workload.embedding_batches(encoding_format="float"))
    assert json.dumps(workload.single_pairs_to_embed()[0]["input"]) == json.dumps(list(workload.pairs[0]))


def test_base64_is_compared_with_base64(tmp_path: Path):
    answering = {name: servers.Server(name, "http://127.0.0.1:1", 0) for name in (servers.OURS, servers.INFINITY)}
    contest = closed.embeddings_contest(Workload(draw_sentences(64), "tiny"), tmp_path, answering, None)
    assert list(contest.targets) == [
        "simlstm", "simlstm, base64", "infinity + MiniLM", "infinity + MiniLM, base64",
    ]  # fmt: skip
    assert contest.beside == {"infinity + MiniLM, base64": "simlstm, base64"}


def test_make_names_infinity_only_when_it_is_told():
    assert planned("bench-serve")[-1].rstrip().endswith("serve --json benchmarks/results/serve-cpu.json")
    assert planned("bench-serve", "INFINITY=there/infinity_emb")[-1].endswith("--infinity there/infinity_emb")
