"""Settings: every one by environment, refused when they contradict each other, and written down."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from api.settings import Settings
from api.settings_page import settings_page

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_setting_is_read_from_the_environment(monkeypatch, tmp_path):
    (tmp_path / "settings.toml").touch()
    (tmp_path / "keys").write_text("# ours\nthree\n\n two \n")
    values = {
        "settings_file": str(tmp_path / "settings.toml"), "model": "folder", "name": "n", "device": "cpu",
        "dtype": "int8", "threads": 3, "host": "::", "port": 8, "log_level": "debug", "log_format": "json",
        "max_body_bytes": 2**20, "max_request_sentences": 10, "max_sentence_characters": 20, "max_matrix_pairs": 21,
        "max_explained_pairs": 22, "max_waiting_sentences": 30, "overload_share": 0.5, "max_batch_tokens": 40,
        "max_age_ms": 41, "cache_bytes": 42, "default_deadline_ms": 50, "max_deadline_ms": 60, "rerank_by": "cosine",
        "start_seconds": 6.5, "stall_seconds": 7.5, "restart_limit": 8, "restart_window_seconds": 9.5,
        "reload_seconds": 10.5, "shutdown_delay_seconds": 0.5, "drain_seconds": 11,
        "keep_alive_seconds": 12,
        "api_keys_file": str(tmp_path / "keys"), "cors_origins": "https://a.example",
    }  # fmt: skip
    for field, value in values.items():
        monkeypatch.setenv(f"SIMLSTM_{field.upper()}", str(value))
    monkeypatch.setenv("SIMLSTM_API_KEYS", "one, two,")
    settings = Settings()
    assert settings.model_dump(include=set(values)) == values
    assert all(Settings.model_fields[name].default != value for name, value in values.items())
    assert set(values) | {"api_keys", "models"} == set(Settings.model_fields)
    assert settings.accepted_keys == ("one", "two", "three")
    assert settings.accepted_origins == ("https://a.example",)


def test_keys_are_not_shown():
    assert "sesame" not in repr(Settings(api_keys="sesame"))
    with pytest.raises(ValidationError) as caught:
        Settings(api_keys="open sesame")
    assert "key 1 holds a space" in str(caught.value.errors(include_input=False))
    assert "sesame" not in str(caught.value.errors(include_input=False))


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (
            {"max_waiting_sentences": 10, "max_request_sentences": 11},
            ["max_waiting_sentences (10)", "max_request_sentences (11)"],
        ),
        (
            {"max_body_bytes": 1024, "max_sentence_characters": 2000},
            ["max_sentence_characters (2000)", "max_body_bytes (1024)"],
        ),
        (
            {"default_deadline_ms": 2000, "max_deadline_ms": 1000},
            ["default_deadline_ms (2000)", "max_deadline_ms (1000)"],
        ),
        ({"api_keys": " , "}, ["api_keys is set but holds no key"]),
        ({"api_keys": "fine,schlüssel"}, ["key 2 holds a space or a character beyond ASCII"]),
        ({"cors_origins": "https://a.example/"}, ["https://a.example/ is no origin"]),
        ({"cors_origins": "a.example"}, ["a.example is no origin", "scheme://host"]),
        ({"cors_origins": "https://A.example"}, ["is no origin"]),
        ({"cors_origins": "*, https://a.example"}, ["* beside other origins"]),
        ({"device": "cuda", "dtype": "int8"}, ["dtype is int8 and device is cuda"]),
        ({"max_body_bytes": 5}, ["max_body_bytes", "1024"]),
        ({"dtype": "float16"}, ["dtype", "'float32', 'bfloat16' or 'int8'"]),
        ({"threads": 0}, ["threads", "greater than or equal to 1"]),
        ({"overload_share": 1.5}, ["overload_share", "less than or equal to 1"]),
        ({"model": ""}, ["model", "at least 1 character"]),
        ({"prot": 80}, ["prot", "Extra inputs are not permitted"]),
    ],
)
def test_impossible_settings_are_refused_by_name(values, names):
    with pytest.raises(ValidationError) as caught:
        Settings(**values)
    for name in names:
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "cannot read"), (b"", "holds no key"), (b"# none\n\n", "holds no key"), (b"a b\n", "key 1 holds a space"),
     (b"\xff\n", "is not UTF-8")],
)  # fmt: skip
def test_a_bad_file_of_keys_is_refused_by_name(tmp_path, content, reason):
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValidationError) as caught:
        Settings(api_keys_file=str(file))
    assert str(file) in str(caught.value)
    assert reason in str(caught.value)


def test_limits_that_just_fit_are_accepted():
    settings = Settings(
        max_waiting_sentences=5, max_request_sentences=5, max_body_bytes=1024, max_sentence_characters=1024,
        default_deadline_ms=7, max_deadline_ms=7,
    )  # fmt: skip
    assert settings.max_waiting_sentences == settings.max_request_sentences


def test_the_page_of_settings_is_up_to_date():
    page = (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == settings_page(), "run: python scripts/serve.py --print-settings > docs/settings.md"
