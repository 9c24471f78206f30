"""The command of the server: each setting is an option of it, each mistake one sentence."""

import os
import subprocess
import sys

import httpx
import pytest
import typer

from api.settings import Settings
from scripts.serve import main, read_settings
from tests.api.live import REPOSITORY, serve_process


def parse(*arguments):
    """Return the settings that a command line gives."""
    given = typer.main.get_command(_app()).make_context("serve", list(arguments)).params
    del given["print_settings"]
    return read_settings(given)


def _app():
    app = typer.Typer(add_completion=False)
    app.command()(main)
    return app


def test_every_setting_is_a_flag(tmp_path):
    (tmp_path / "settings.toml").touch()
    (tmp_path / "keys").write_text("three")
    flags = {
        "settings-file": tmp_path / "settings.toml", "model": "folder", "name": "n", "device": "cpu", "dtype": "int8",
        "threads": 3, "host": "::", "port": 8, "log-level": "debug", "log-format": "json", "max-body-bytes": 2**20,
        "max-request-sentences": 10, "max-sentence-characters": 20, "max-matrix-pairs": 21, "max-explained-pairs": 22,
        "max-waiting-sentences": 30, "overload-share": 0.5, "max-batch-tokens": 40, "max-age-ms": 41,
        "cache-bytes": 42, "default-deadline-ms": 50, "max-deadline-ms": 60, "rerank-by": "cosine",
        "start-seconds": 6.5, "stall-seconds": 7.5, "restart-limit": 8, "restart-window-seconds": 9.5,
        "reload-seconds": 10.5, "shutdown-delay-seconds": 0.5, "drain-seconds": 11, "keep-alive-seconds": 12,
        "api-keys": "one,two",
        "api-keys-file": tmp_path / "keys", "cors-origins": "https://a.example",
    }  # fmt: skip
    settings = parse(*(text for flag, value in flags.items() for text in (f"--{flag}", str(value))))
    assert settings.accepted_keys == ("one", "two", "three")
    for name, value in settings.model_dump(exclude={"models", "api_keys"}).items():
        assert str(value) == str(flags.pop(name.replace("_", "-")))
    assert list(flags) == ["api-keys"]


def test_defaults_are_the_settings_own():
    assert parse("--model", "en") == Settings(model="en")


def test_several_models():
    served = parse("--model", "first=runs/a", "--model", "en", "--threads", "2").served
    assert [(model.name, model.path, model.threads) for model in served] == [("first", "runs/a", 2), ("en", "en", 2)]


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        ([], {}, "cannot start: no model to serve: name a shipped one, or a checkpoint's folder, by --model"),
        (["--model", "en"], {"SIMLSTM_PORT": "x"}, "cannot start: SIMLSTM_PORT: Input should be a valid integer"),
        (["--model", "a", "--stall-seconds", "0"], {}, "cannot start: --stall-seconds: Input should be greater than 0"),
        ([], {"SIMLSTM_MODELS": "{"}, "cannot start: SIMLSTM_MODELS: not JSON"),
        (["--model", "a=en", "--model", "a=zh"], {}, "cannot start: 'a' is given twice"),
        (
            ["--model", "en", "--max-request-sentences", "100000"], {},
            "cannot start: settings: max_waiting_sentences (16384) is below max_request_sentences (100000)",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(monkeypatch, capsys, arguments, environment, sentence):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(typer.Exit) as caught:
        parse(*arguments)
    assert caught.value.exit_code == 2
    said = capsys.readouterr().err
    assert said.startswith(sentence)
    assert said.count("\n") == 1


def test_a_mistake_in_a_file_names_its_key(tmp_path, capsys):
    file = tmp_path / "settings.toml"
    for text, sentence in (
        ("port = 70000", "cannot start: port in the settings file: Input should be less than or equal to 65535"),
        ("[models.a]\nthreads = 2", "cannot start: models.a.path in the settings file: Field required"),
        ("prot = 1", f"cannot start: {file}: prot is no setting"),
    ):
        file.write_text(text)
        with pytest.raises(typer.Exit):
            parse("--settings", str(file))
        assert capsys.readouterr().err.startswith(sentence)


def test_a_mistake_ends_the_process_with_status_2():
    for arguments in (["--port", "x"], ["--model", "en", "--threads", "0"], ["--log-level", "loud"], ["--nothing"]):
        with serve_process(*arguments) as serving:
            assert serving.ended() == 2
        assert "Traceback" not in "".join(serving.lines)


def test_the_page_of_settings_is_printed():
    command = [sys.executable, "scripts/serve.py", "--print-settings"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    printed = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True)
    assert printed.stdout == (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8")


def test_a_server_set_up_by_a_file(checkpoint, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text(f'port = 1\napi_keys = ["sesame"]\nname = "from-file"\nmodel = "{checkpoint}"\n')
    with serve_process("--settings", str(file)) as serving, httpx.Client(base_url=serving.url()) as client:
        assert client.get("/info").status_code == 401
        info = client.get("/info", headers={"authorization": "Bearer sesame"})
        assert info.json()["model_id"] == "from-file"
