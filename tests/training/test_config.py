"""The configuration: what is read, and how a mistake is worded."""

import tomllib

import pytest

from simlstm.training.config import TrainingConfig
from simlstm.training.config_file import ConfigError, load_config, parse_override
from simlstm.training.data_config import LOSS_NAMES, LossWeights
from tests.conftest import REPOSITORY

MINIMAL = ["data.train=demo:train", "data.dev=demo:dev"]


def _mistakes(*overrides, flags=None):
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=[*MINIMAL, *overrides], flags=flags)
    return str(caught.value).splitlines()


def test_defaults_need_only_data():
    config = load_config(overrides=MINIMAL)
    assert config.data.train[0].path == "demo:train"
    assert config.data.dev.path == "demo:dev"
    assert config == TrainingConfig.model_validate({"data": {"train": ["demo:train"], "dev": "demo:dev"}})


def test_file_then_overrides_then_flags(tmp_path):
    file = tmp_path / "experiment.toml"
    file.write_text(
        '[data]\ntrain = ["a.csv", {path = "b.tsv", format = "sick", weight = 2}]\ndev = "c.csv"\n'
        "[training]\nseed = 1\nepochs = 3\n[loss.weights]\nkl = 1\n",
        encoding="utf-8-sig",
    )
    config = load_config(
        file,
        overrides=["training.seed=2", "training.epochs=4", "loss.weights.cosent=0.1"],
        flags={"training.seed": 3, "data.dev": None},
    )
    assert [source.path for source in config.data.train] == ["a.csv", "b.tsv"]
    assert (config.data.train[1].format, config.data.train[1].weight) == ("sick", 2.0)
    assert (config.training.seed, config.training.epochs, config.data.dev.path) == (3, 4, "c.csv")
    assert config.loss.weights.active() == {"kl": 1.0, "cosent": 0.1}


def test_the_configuration_survives_json():
    config = load_config(overrides=MINIMAL)
    assert TrainingConfig.model_validate_json(config.model_dump_json()) == config


def test_it_is_frozen():
    config = load_config(overrides=MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        config.training.seed = 5


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("training.epochs=5", "training.epochs", 5),
        ("optimizer.learning_rate=5e-4", "optimizer.learning_rate", 5e-4),
        ("model.bidirectional=false", "model.bidirectional", False),
        ("model.pooling=max", "model.pooling", "max"),
        ('model.pooling="max"', "model.pooling", "max"),
        ('data.train=["a", "b"]', "data.train", ["a", "b"]),
        ('data.train=[{path="a", weight=2}]', "data.train", [{"path": "a", "weight": 2}]),
        ("data.dev=x=y.csv", "data.dev", "x=y.csv"),
        ("data.dev=demo:dev", "data.dev", "demo:dev"),
    ],
)
def test_overrides_have_types(text, key, value):
    assert parse_override(text) == (key, value)


@pytest.mark.parametrize("text", ["epochs=5", "training.epochs", "training.=5", ".epochs=5", ""])
def test_overrides_without_section_or_value_are_refused(text):
    with pytest.raises(ConfigError, match=r"expected section\.key=value"):
        parse_override(text)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "model.poolling=max",
            "[model] poolling: unknown key (did you mean pooling?); allowed: embedding_size, hidden",
        ),
        ("trainig.epochs=1", "[trainig]: unknown key (did you mean training?); allowed: data, tokenizer, embedding,"),
        ("loss.weights.kll=1", "[loss] weights.kll: unknown key (did you mean kl?); allowed: mse, kl, bce,"),
        ("model.pooling=maxx", "[model] pooling: got 'maxx'; allowed: 'mean', 'max', 'mean_max', 'last' or 'attent"),
        ("training.epochs=0", "[training] epochs: got 0; allowed: greater than or equal to 1"),
        ("training.epochs=2.5", "[training] epochs: got 2.5; allowed: a valid integer"),
        ("training.epochs=true", "[training] epochs: got True; allowed: a valid integer"),
        ('training.epochs="3"', "[training] epochs: got '3'; allowed: a valid integer"),
        ("model.bidirectional=1", "[model] bidirectional: got 1; allowed: a valid boolean"),
        ("training.ema_decay=1.0", "[training] ema_decay: got 1.0; allowed: less than 1"),
        ("optimizer.learning_rate=nan", "[optimizer] learning_rate: got nan; allowed: a finite number"),
        ("optimizer.learning_rate=0", "[optimizer] learning_rate: got 0; allowed: greater than 0"),
        ("model.classes=1", "[model] classes: got 1; allowed: greater than or equal to 2"),
        ("data.train=3", "[data] train: got 3; allowed: a list"),
        ("data.train=[]", "[data] train: got []; allowed: the list should have at least 1 item"),
        ('data.train=[{path="a", wieght=2}]', "[data] train.0.wieght: unknown key (did you mean weight?); allowed: pa"),
        ("data.train=[{weight=2}]", "[data] train.0.path: missing; it has no default"),
        ("data.dev=4", "[data] dev: got 4; allowed: a table with the keys path, format, columns"),
        ("data.dev_fraction=0.1", "[data]: give exactly one of dev (a source) and dev_fraction"),
        ("calibration.method=isotonik", "[calibration] method: got 'isotonik'; allowed: 'platt', 'isotonic' or 'none'"),
    ],
)
def test_mistakes_name_section_key_what_came_and_what_is_allowed(override, expected):
    (line,) = _mistakes(override)
    assert line.startswith(f"configuration: {expected}")


def test_vectors_and_token_table_exclude_each_other():
    (line,) = _mistakes("embedding.vectors=a", "embedding.token_table=b")
    assert line.endswith("[embedding]: give at most one of vectors and token_table")


def test_all_mistakes_are_told_at_once(tmp_path):
    file = tmp_path / "wrong.toml"
    file.write_text("[data]\n[model]\nhidden_size = 'big'\n[training]\nepoch = 1\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{file}: [") for line in lines)


@pytest.mark.parametrize(("content", "expected"), [("a = ", "not a TOML file"), (b"\xff\xfe", "not a TOML file")])
def test_a_file_that_is_not_toml_is_named(tmp_path, content, expected):
    file = tmp_path / "wrong.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=expected):
        load_config(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        load_config(tmp_path / "none.toml")


def test_an_override_cannot_reach_through_a_value():
    (line,) = _mistakes("data.train.x=1")
    assert "data.train is 'demo:train', not a table" in line


def test_loss_names_are_the_weights():
    assert tuple(LossWeights.model_fields) == LOSS_NAMES
    assert tomllib.loads("weights = { kl = 1.0, cosent = 0.1 }")["weights"].keys() <= set(LOSS_NAMES)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (['data.dev={path="demo:dev", weight=2.0, batch_size=4}'], "dev: batch_size, weight would have no effect"),
        (['data.dev={path="demo:dev", losses={kl=1.0}}'], "dev: losses would have no effect, as dev is not trained on"),
        (['data.count_overlap=[{path="demo:test", head="x", weight=2.0}]'],
         "count_overlap: head, weight of demo:test would have no effect"),
        (["training.ema_decay=0.0", "training.ema_every=4"], "ema_every would have no effect with ema_decay = 0"),
        (["distillation.similarity_weight=1.0"], "similarity_weight would have no effect without teacher"),
        (['data.train=[{path="demo:train", losses={kl=0.0}}]'], "losses: no loss has a weight"),
    ],
)  # fmt: skip
def test_a_setting_without_effect_is_refused(overrides, message):
    assert message in "\n".join(_mistakes(*overrides))


@pytest.mark.parametrize("file", sorted(REPOSITORY.glob("configs/**/*.toml")), ids=lambda file: file.stem)
def test_the_configurations_of_the_repository_are_valid(file):
    if file.parent.name not in {"recipes", "cards"}:
        load_config(file)
