"""Log lines: their shape, what they never hold, and that nothing depends on their being written."""

import contextlib
import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from api.logs import ForgivingHandler, JsonFormatter, TextFormatter, configure_logs
from tests.api.live import REPOSITORY, serve_process, until
from tests.api.tiny import SENTENCES, AllergicModel, build_model

PAIR = {"sentence1": SENTENCES[0], "sentence2": SENTENCES[1]}


def record(message="hello %s", *args, fields=None, exc_info=None):
    made = logging.LogRecord("api.x", logging.WARNING, "x.py", 1, message, args or ("you",), exc_info)
    made.created, made.msecs = 1_700_000_000.25, 250.0
    if fields is not None:
        made.fields = fields
    return made


def test_a_json_line():
    line = JsonFormatter().format(record(fields={"status": 200, "request_id": "a"}))
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250Z", "level": "warning", "logger": "api.x", "message": "hello you",
        "status": 200, "request_id": "a",
    }  # fmt: skip
    assert "\n" not in JsonFormatter().format(record("two\nlines\x00\u2028%s", "\ud83d \U0001f600"))


def test_a_json_line_takes_what_json_does_not():
    line = json.loads(JsonFormatter().format(record("%s", "half \ud83d", fields={"large": 2**80, "other": {1}})))
    assert line["message"] == "half ?"
    assert line["large"] == str(2**80)


def test_a_text_line():
    line = TextFormatter().format(record(fields={"status": 200, "request_id": "a"}))
    assert line.endswith(" WARNING api.x: hello you status=200 request_id=a")
    assert TextFormatter().format(record()).endswith("hello you")


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_an_exceptions_own_text_is_not_written(formatter):
    text = "heliotrope"
    try:
        try:
            raise ValueError(text)
        except ValueError as error:
            raise RuntimeError(text) from error
    except RuntimeError:
        line = formatter.format(record(exc_info=sys.exc_info()))
    assert text not in line
    assert line.index("RuntimeError at") < line.index("after ValueError at")
    assert "test_api_logs.py" in line


def test_what_cannot_be_written_is_dropped(capsys):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        handler = ForgivingHandler(full)
        handler.setFormatter(TextFormatter())
        handler.handle(record())
        handler.stream = open(os.devnull, "w")  # noqa: PTH123, SIM115
        handler.stream.close()
        handler.handle(record())
        assert capsys.readouterr().err == ""
        handler.handle(record("%d", "not a number"))
        assert "test_api_logs.py" in capsys.readouterr().err
        with pytest.raises(OSError, match="No space left"):
            full.flush()
        # What is left in the buffer would fail again at the close.
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


@pytest.fixture
def restored_logging():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(("log_format", "is_json"), [("json", True), ("text", False), ("auto", True)])
def test_a_process_logs_in_one_format(restored_logging, capsys, log_format, is_json):
    configure_logs("info", log_format)
    logging.getLogger("uvicorn.error").warning("from the web server")
    logging.getLogger("api.anything").debug("not this")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("{") == is_json
    assert "from the web server" in line


def test_every_line_of_a_server_is_json(checkpoint):
    with serve_process("--model", str(checkpoint), "--log-format", "json") as serving:
        url = serving.url()
        httpx.post(f"{url}/v1/similarity", json=PAIR, headers={"x-request-id": "mine"})
        httpx.get(f"{url}/heliotrope?q=heliotrope", headers={"x-request-id": "he lio trope", "x-heliotrope": "1"})
        until(lambda: any('"unmatched"' in line for line in serving.lines))
        serving.process.terminate()
        serving.ended()
    logged = [json.loads(line) for line in serving.lines if not line.startswith("simlstm answers at")]
    assert {"uvicorn.error", "api.middleware"} <= {line["logger"] for line in logged}
    (answered,) = [line for line in logged if line.get("route") == "/v1/similarity"]
    assert (answered["method"], answered["status"], answered["request_id"]) == ("POST", 200, "mine")
    assert answered["message"] == "answered"
    assert answered["sentences"] == 2
    assert answered["milliseconds"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answered["time"])
    assert not any("heliotrope" in line for line in serving.lines)


def test_logs_never_hold_a_users_text(serve, caplog):
    caplog.set_level(logging.DEBUG)
    client = serve(build_model(AllergicModel))
    secret = "heliotrope"  # noqa: S105
    long = f"{secret} " * 20
    client.post("/v1/similarity", json={"sentence1": secret, "sentence2": long})
    client.post("/v1/similarity", json={"sentence1": f"{secret}", "sentence2": AllergicModel.POISON})
    client.post("/v1/similarity", json={"sentence1": secret, secret: 5})
    client.post("/v1/embeddings", json={"model": secret, "input": secret})
    client.post("/v1/embeddings", content=secret, headers={"content-type": "application/json"})
    client.get(f"/v1/models/{secret}")
    client.get(f"/{secret}?q={secret}")
    ours = [entry for entry in caplog.records if not entry.name.startswith(("httpx", "httpcore"))]  # the client's
    assert len([entry for entry in ours if entry.getMessage() == "answered"]) == 7
    for formatter in (JsonFormatter(), TextFormatter()):
        written = "".join(formatter.format(entry) for entry in ours)
        assert secret not in written
        assert "password" not in written


def start(arguments, **streams):
    """Start a server whose output goes elsewhere, on a port of its own, and wait until it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "scripts/serve.py", "--port", str(port), *arguments]
    process = subprocess.Popen(command, cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, **streams)
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20)
    end = time.monotonic() + 60
    while True:
        try:
            client.get("/livez")
        except httpx.ConnectError:
            assert process.poll() is None, f"it ended with status {process.returncode}"
            assert time.monotonic() < end
            time.sleep(0.05)
        else:
            return process, client


def requests_and_end(process, client):
    try:
        with contextlib.closing(client):
            for _ in range(200):  # more than any buffer of lines holds back
                assert client.post("/v1/similarity", json=PAIR).status_code == 200
            assert client.get("/nothing").status_code == 404
        process.terminate()
        assert process.wait(30) in (0, -15)
    finally:
        process.kill()
        process.wait(30)


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_full_disk_fails_neither_start_nor_request(checkpoint, log_format):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        requests_and_end(
            *start(["--model", str(checkpoint), "--log-format", log_format], stdout=full, stderr=subprocess.STDOUT)
        )


def test_a_closed_pipe_fails_neither_start_nor_request(checkpoint):
    read, write = os.pipe()
    os.close(read)
    try:
        requests_and_end(*start(["--model", str(checkpoint)], stdout=write, stderr=write))
    finally:
        os.close(write)


def test_a_pipe_that_closes_later_fails_no_request(checkpoint):
    read, write = os.pipe()
    process, client = start(["--model", str(checkpoint)], stdout=write, stderr=write)
    os.close(write)
    threading.Thread(target=lambda: (os.read(read, 100), os.close(read))).start()
    requests_and_end(process, client)
