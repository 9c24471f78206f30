"""The worker's side of the connection: messages in, messages out, until nobody is there."""

import contextlib
import logging
import pickle
import signal
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest

from api.engine.frames import FrameReader, pack
from api.engine.process import GoneError, serve, work_message
from api.work import Layout, Work
from tests.api.engine.running import NotingModel
from tests.api.live import REPOSITORY
from tests.api.tiny import SENTENCES, build_model

SETTINGS = {
    "type": "load", "folder": None, "log_level": "info", "device": None, "dtype": None, "threads": None,
    "max_batch_tokens": 100, "cache_bytes": 2**20, "max_age": 1.0,
}  # fmt: skip
PAIR = Work(SENTENCES[:2], Layout.pairwise, first=1)


class Served:
    """A worker's loop in a thread, and what it says."""

    def __init__(self, settings, blob=b""):
        self.ours, self._theirs = socket.socketpair()
        self.ours.settimeout(30)
        self._reader = FrameReader()
        self._said = []
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        self.send(pack(SETTINGS | settings, blob))

    def _run(self):
        with self._theirs, contextlib.suppress(GoneError, BrokenPipeError, ConnectionResetError):
            serve(self._theirs)

    def send(self, *messages):
        self.ours.sendall(b"".join(messages))

    def next(self, kind):
        """Return the next message of a kind."""
        while True:
            while not self._said:
                data = self.ours.recv(2**20)
                assert data, "it has gone"
                self._said += self._reader.feed(data)
            header, blob = self._said.pop(0)
            if header["type"] == kind:
                return header, blob


@pytest.fixture
def served():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    running = []

    def start(**settings):
        model = settings.pop("model", None)
        running.append(Served(settings, b"" if model is None else pickle.dumps(model)))
        return running[-1]

    yield start
    for one in running:
        one.ours.close()
        one.thread.join(30)
        assert not one.thread.is_alive()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_checkpoint_is_loaded_and_answers(served, checkpoint, model):
    worker = served(folder=str(checkpoint))
    ready, _ = worker.next("ready")
    assert (ready["name"], ready["fingerprint"]) == ("tiny", model.fingerprint)
    worker.send(work_message(7, PAIR, 0.0))
    header, blob = worker.next("step")
    (answer,) = header["answers"]
    assert (answer["number"], answer["pairs"], answer["calibrated"], answer["rows"]) == (7, 1, True, 0)
    score, probability = np.frombuffer(blob, dtype="<f4")
    expected = model.score(SENTENCES[:1], SENTENCES[1:2])
    assert score == pytest.approx(expected[0], abs=1e-6)
    assert probability == pytest.approx(model.probability_of(expected)[0], abs=1e-6)
    assert answer["token_counts"] == list(map(len, model.tokenizer.encode(SENTENCES[:2])))


def test_what_arrives_together_is_computed_together_however_it_is_cut(served, model):
    worker = served(model=model)
    worker.next("ready")
    stream = b"".join(work_message(number, Work([text], embeddings=True), 0.0) for number, text in enumerate(SENTENCES))
    worker.send(stream[:50])
    worker.send(stream[50:51])
    worker.send(stream[51:])
    answered = []
    while len(answered) < len(SENTENCES):
        header, blob = worker.next("step")
        rows = np.frombuffer(blob, dtype="<f4").reshape(-1, model.embedding_size)
        answered += [(answer["number"], row) for answer, row in zip(header["answers"], rows, strict=True)]
    for number, row in answered:
        # float32 sums in another batch may differ in the last bits.
        np.testing.assert_allclose(row, model.encode([SENTENCES[number]])[0], atol=1e-6)
    assert (header["hits"], header["misses"]) == (0, 6)


def test_ping_cancel_and_what_was_never_there(served, model):
    worker = served(model=model)
    worker.next("ready")
    worker.send(pack({"type": "ping"}))
    worker.next("pong")
    worker.send(
        work_message(1, PAIR, 0.0), pack({"type": "cancel", "number": 1}), pack({"type": "cancel", "number": 9})
    )
    assert worker.next("dropped")[0]["count"] == 1
    worker.send(pack({"type": "ping"}))
    worker.next("pong")
    worker.send(work_message(2, PAIR, 0.0))
    assert [answer["number"] for answer in worker.next("step")[0]["answers"]] == [2], "nothing was computed before"


def test_a_failure_and_a_log_line_hold_no_text(served):
    model = build_model(NotingModel)
    model.prepare(forbidden=["password"])
    worker = served(model=model)
    worker.next("ready")
    worker.send(work_message(3, Work(["password"], embeddings=True), 0.0))
    line, _ = worker.next("log")
    assert (line["logger"], line["level"]) == ("api.engine.embedding", logging.ERROR)
    assert "RuntimeError" in line["message"]
    header, _ = worker.next("step")
    assert header["failures"] == [{"number": 3, "error": "RuntimeError"}]
    assert "password" not in str(line) + str(header)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"folder": "/nowhere/at/all"}, "/nowhere/at/all"),
        ({"folder": "nothing-of-that-name"}, "no shipped checkpoint"),
        ({"device": "toaster", "folder": "."}, "toaster"),
    ],
)
def test_what_cannot_be_loaded_is_said(served, settings, sentence):
    worker = served(**settings)
    header, _ = worker.next("failed")
    assert sentence in header["message"]
    assert worker.ours.recv(1) == b"", "it ends"


def test_a_model_that_gives_nan_is_refused(served):
    model = build_model(calibrated=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("simlstm.SimilarityModel.score", lambda *_, **__: np.array([np.nan], dtype=np.float32))
        header, _ = served(model=model).next("failed")
    assert "the model does not compute" in header["message"]


def test_it_ends_when_the_server_goes(served, model):
    worker = served(model=model)
    worker.next("ready")
    worker.ours.close()
    worker.thread.join(30)
    assert not worker.thread.is_alive()


FAULTY = """
import logging, socket, sys
from api.engine import process
process.load = lambda settings, blob: (Engine(), {"type": "ready"})
class Engine:
    is_busy = True
    def cancel(self, numbers): return 0
    def step(self):
        if "surrogate" in sys.argv:
            logging.getLogger("faulty").warning("half a pair: \\ud83d")
        raise KeyError("a secret text")
process.run(socket.socket(fileno=int(sys.argv[1])))
"""


@pytest.mark.parametrize("what", ["plain", "surrogate"])
def test_a_fault_of_our_own_is_logged_before_the_process_ends(what):
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", FAULTY, str(theirs.fileno()), what], cwd=REPOSITORY, pass_fds=[theirs.fileno()]
        )
    ours.settimeout(60)
    with ours, process:
        ours.sendall(pack(SETTINGS))
        said = b""
        while data := ours.recv(2**20):
            said += data
        assert process.wait(30) == 1
    lines = [header for header, _ in FrameReader().feed(said) if header["type"] == "log"]
    assert lines[-1]["level"] == logging.CRITICAL
    assert "KeyError" in lines[-1]["message"]
    assert "secret" not in str(lines)
    assert len(lines) == 2 if what == "surrogate" else 1


def test_signals_to_the_whole_group_do_not_end_it(model):
    code = "import socket, sys; from api.engine import process; process.run(socket.socket(fileno=int(sys.argv[1])))"
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(theirs.fileno())], cwd=REPOSITORY, pass_fds=[theirs.fileno()]
        )
    ours.settimeout(60)
    reader = FrameReader()

    def heard(kind):
        while True:
            data = ours.recv(2**20)
            assert data, f"it ended with {process.wait(30)}"
            if any(header["type"] == kind for header, _ in reader.feed(data)):
                return

    with ours, process:
        ours.sendall(pack(SETTINGS, pickle.dumps(model)))
        heard("ready")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(number)
        ours.sendall(pack({"type": "ping"}))
        heard("pong")
        ours.close()
        assert process.wait(30) == 0
