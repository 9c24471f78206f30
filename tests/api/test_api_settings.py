"""Settings: every one by environment, refused when they contradict each other."""

import pytest
from pydantic import ValidationError

from api.settings import Settings


def test_every_setting_is_read_from_the_environment(monkeypatch):
    values = {
        "model": "folder", "name": "n", "device": "cpu", "dtype": "int8", "threads": 3, "max_body_bytes": 2**20,
        "max_request_sentences": 10, "max_sentence_characters": 20, "max_waiting_sentences": 30,
        "max_batch_tokens": 40, "default_deadline_ms": 50, "max_deadline_ms": 60, "stall_seconds": 7.5,
        "shutdown_delay_seconds": 0.5, "cors_origins": "https://a.example",
    }  # fmt: skip
    for field, value in values.items():
        monkeypatch.setenv(f"SIMLSTM_{field.upper()}", str(value))
    monkeypatch.setenv("SIMLSTM_API_KEYS", "one, two,")
    settings = Settings()
    assert settings.model_dump(include=set(values)) == values
    assert set(values) | {"api_keys"} == set(Settings.model_fields)
    assert settings.accepted_keys == ("one", "two")
    assert settings.accepted_origins == ("https://a.example",)


def test_keys_are_not_shown():
    assert "sesame" not in repr(Settings(api_keys="sesame"))


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
        ({"max_body_bytes": 5}, ["max_body_bytes", "1024"]),
        ({"dtype": "float16"}, ["dtype", "'float32', 'bfloat16' or 'int8'"]),
        ({"threads": 0}, ["threads", "greater than or equal to 1"]),
        ({"prot": 80}, ["prot", "Extra inputs are not permitted"]),
    ],
)
def test_impossible_settings_are_refused_by_name(values, names):
    with pytest.raises(ValidationError) as caught:
        Settings(**values)
    for name in names:
        assert name in str(caught.value)


def test_limits_that_just_fit_are_accepted():
    settings = Settings(
        max_waiting_sentences=5, max_request_sentences=5, max_body_bytes=1024, max_sentence_characters=1024,
        default_deadline_ms=7, max_deadline_ms=7,
    )  # fmt: skip
    assert settings.max_waiting_sentences == settings.max_request_sentences
