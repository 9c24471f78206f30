"""Where settings come from: a flag goes before the environment, the environment before the file."""

import pytest
from pydantic import ValidationError

from api.served import models_from_flags
from api.settings import Settings
from api.settings_sources import SettingsFileError

ENGLISH, CHINESE = {"path": "en"}, {"path": "zh", "threads": 2, "max_waiting_sentences": 5000}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes a settings file and names it in the environment."""

    def write(text):
        file = tmp_path / "settings.toml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        monkeypatch.setenv("SIMLSTM_SETTINGS_FILE", str(file))
        return file

    return write


def test_a_stronger_source_wins(write, monkeypatch):
    file = write('port = 1\nhost = "file"\nthreads = 3\nmax_age_ms = 4')
    monkeypatch.setenv("SIMLSTM_PORT", "2")
    monkeypatch.setenv("SIMLSTM_HOST", "environment")
    monkeypatch.setenv("SIMLSTM_THREADS", "")  # as absent
    settings = Settings(port=3)
    assert (settings.port, settings.host, settings.threads, settings.max_age_ms) == (3, "environment", 3, 4)
    assert settings.drain_seconds == 30
    monkeypatch.delenv("SIMLSTM_SETTINGS_FILE")
    assert Settings(settings_file=str(file)).threads == 3
    assert Settings().threads is None


def test_a_file_may_write_lists(write):
    write('api_keys = ["one", "two"]\ncors_origins = ["https://a.example", "http://localhost:3000"]')
    settings = Settings()
    assert settings.accepted_keys == ("one", "two")
    assert settings.accepted_origins == ("https://a.example", "http://localhost:3000")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("prot = 80\nport = 80", r"settings\.toml: prot is no setting; allowed: api_keys, "),
        ('settings_file = "other.toml"', "settings_file is no setting"),
        ("port = ", r"settings\.toml is not TOML: Invalid value"),
        ('[models.a]\npath = "x"\n[models.a]\npath = "y"', r"settings\.toml is not TOML: .*models"),
        (b'host = "\xff"', r"settings\.toml is not UTF-8: invalid start byte at byte 8"),
    ],
)
def test_a_bad_file_is_refused_by_name(write, text, reason):
    write(text)
    with pytest.raises(SettingsFileError, match=reason):
        Settings()


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(SettingsFileError, match=r"cannot read the settings file .*nothing\.toml: No such file"):
        Settings(settings_file=str(tmp_path / "nothing.toml"))


def test_models_of_a_file_by_name_the_first_is_the_default(write):
    write(
        'threads = 3\n[models.zebra]\npath = "en"\n[models.ape]\npath = "zh"\nthreads = 2\nmax_waiting_sentences = 5000'
    )
    zebra, ape = Settings().served
    assert (zebra.name, zebra.path, zebra.threads, zebra.max_waiting_sentences) == ("zebra", "en", 3, 16_384)
    assert (ape.name, ape.path, ape.threads, ape.max_waiting_sentences) == ("ape", "zh", 2, 5000)
    assert ape.max_batch_tokens == 16_384


def test_models_of_a_stronger_source_replace_the_others(write, monkeypatch):
    write('[models.file]\npath = "f"')
    assert [model.name for model in Settings().served] == ["file"]
    monkeypatch.setenv("SIMLSTM_MODELS", '{"environment": {"path": "e"}, "second": {"path": "s", "dtype": "int8"}}')
    assert [(model.name, model.dtype) for model in Settings().served] == [("environment", None), ("second", "int8")]
    assert [model.path for model in Settings(model="flag").served] == ["flag"]
    monkeypatch.delenv("SIMLSTM_MODELS")
    monkeypatch.setenv("SIMLSTM_MODEL", "single")
    assert [(model.name, model.path) for model in Settings(name="called").served] == [("called", "single")]


def test_no_model_is_none_served():
    assert Settings().served == ()


@pytest.mark.parametrize(
    ("models", "reason"),
    [
        ('{"a": {"path": "en"}, "a": {"path": "zh"}}', "'a' is given twice"),
        ('{"a": ', "not JSON: Expecting value at column 7"),
        ("[]", "valid dictionary"),
        ("{}", "at least 1 item"),
        ('{"": {"path": "en"}}', "at least 1 character"),
        ('{"a": {}}', r"models\.a\.path"),
        ('{"a": {"path": "en", "thread": 2}}', r"models\.a\.thread"),
        (
            '{"a": {"path": "en", "max_waiting_sentences": 10}}',
            r"models\.a\.max_waiting_sentences \(10\) is below models\.a\.max_request_sentences \(4096\)",
        ),
        ('{"a": {"path": "en", "device": "cuda:1", "dtype": "int8"}}', r"models\.a\.dtype is int8 and .* cuda:1"),
    ],
)
def test_impossible_models_are_refused(monkeypatch, models, reason):
    monkeypatch.setenv("SIMLSTM_MODELS", models)
    with pytest.raises(ValidationError, match=reason):
        Settings()


def test_models_beside_a_model_or_a_name_are_refused():
    with pytest.raises(ValidationError, match="model and models are both set"):
        Settings(model="en", models={"a": ENGLISH})
    with pytest.raises(ValidationError, match="name is set beside models"):
        Settings(name="n", models={"a": ENGLISH})


def test_a_servers_limits_may_contradict_where_its_models_all_have_their_own():
    settings = Settings(max_waiting_sentences=4000, models={"a": CHINESE})
    assert settings.served[0].max_waiting_sentences == 5000


def test_models_by_flag(tmp_path, monkeypatch):
    (tmp_path / "lr=0.1").mkdir()
    monkeypatch.chdir(tmp_path)
    assert models_from_flags([]) == {}
    assert models_from_flags(["runs/stsb"]) == {"model": "runs/stsb"}
    assert models_from_flags(["lr=0.1"]) == {"model": "lr=0.1"}
    assert models_from_flags(["./lr=0.2/x"]) == {"model": "./lr=0.2/x"}
    assert models_from_flags(["a=en"]) == {"models": {"a": {"path": "en"}}}
    assert list(models_from_flags(["z=en", "runs/stsb/", "zh"])["models"]) == ["z", "stsb", "zh"]
    for flags, reason in ((["a=en", "runs/a"], "'a' is given twice"), (["=en"], "write NAME=PATH"), (["a="], "NAME=")):
        with pytest.raises(ValueError, match=reason):
            models_from_flags(flags)
