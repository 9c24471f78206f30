"""ModelConfig: defaults, and each mistake with a sentence that names it."""

from typing import Any

import pytest
from pydantic import ValidationError

from simlstm.models.config import ModelConfig


def test_defaults_are_the_baseline() -> None:
    config = ModelConfig(vocabulary_size=100)
    assert (config.hidden_size, config.pooling, config.head, config.classes) == (256, "max", "mlp", 5)
    assert config.recurrent_size == 512
    assert ModelConfig(vocabulary_size=100, bidirectional=False).recurrent_size == 256


def test_survives_json() -> None:
    config = ModelConfig(vocabulary_size=100, head="cosine", projection_size=8, score_range=(1.0, 5.0))
    assert ModelConfig.model_validate_json(config.model_dump_json()) == config


def test_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ModelConfig(vocabulary_size=100).hidden_size = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vocabulary_size": 0}, r"vocabulary_size\s+Input should be greater than or equal to 1"),
        ({"vocabulary_size": 10**12}, r"vocabulary_size\s+Input should be less than or equal to 10000000"),
        ({"vocabulary_size": True}, r"vocabulary_size\s+Input should be a valid integer"),
        ({"hidden_size": "256"}, r"hidden_size\s+Input should be a valid integer"),
        ({"hidden_size": 0}, r"hidden_size\s+Input should be greater than or equal to 1"),
        ({"num_layers": 0}, r"num_layers\s+Input should be greater than or equal to 1"),
        ({"bidirectional": "yes"}, r"bidirectional\s+Input should be a valid boolean"),
        ({"projection_size": 0}, r"projection_size\s+Input should be greater than or equal to 1"),
        ({"projection_size": -3}, r"projection_size\s+Input should be greater than or equal to 1"),
        ({"word_dropout": 1.0}, r"word_dropout\s+Input should be less than 1"),
        ({"embedding_dropout": -0.1}, r"embedding_dropout\s+Input should be greater than or equal to 0"),
        ({"head_dropout": float("nan")}, r"head_dropout\s+Input should be"),
        ({"dropout": 0.2}, r"dropout=0.2 acts between recurrent layers and there is one layer; set num_layers to 2"),
        ({"pooling": "sum"}, r"pooling\s+Input should be 'mean', 'max', 'mean_max', 'last' or 'attention'"),
        ({"head": "dot"}, r"head\s+Input should be 'cosine', 'manhattan' or 'mlp'"),
        ({"classes": 1}, r"classes\s+Input should be greater than or equal to 2"),
        ({"head": "cosine", "classes": 2}, r"classes=2 belongs to head='mlp' .* no effect with head='cosine'"),
        ({"head": "manhattan", "head_hidden_size": 50}, r"head_hidden_size=50 belongs to head='mlp'"),
        ({"head": "cosine", "head_activation": "tanh"}, r"head_activation='tanh' belongs to head='mlp'"),
        ({"head": "cosine", "head_dropout": 0.1}, r"head_dropout=0.1 belongs to head='mlp'"),
        ({"unknown_id": 100}, r"unknown_id=100 is outside of the vocabulary; .* in 0..99"),
        ({"unknown_id": -1}, r"unknown_id\s+Input should be greater than or equal to 0"),
        ({"max_tokens": 0}, r"max_tokens\s+Input should be greater than or equal to 1"),
        ({"score_range": (5.0, 0.0)}, r"score_range=\(5.0, 0.0\) must go from the lowest score to a higher one"),
        ({"score_range": (0.0, float("inf"))}, r"score_range.1\s+Input should be a finite number"),
        ({"segmenter": "pkuseg"}, r"segmenter\s+Input should be 'none' or 'jieba'"),
        ({"kind": "positive"}, r"kind\s+Input should be 'graded' or 'binary'"),
        ({"hidden": 3}, r"hidden\s+Extra inputs are not permitted"),
    ],
)
def test_mistakes_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelConfig(**{"vocabulary_size": 100, **settings})


def test_dropout_between_two_layers_is_fine() -> None:
    assert ModelConfig(vocabulary_size=100, num_layers=2, dropout=0.2).dropout == 0.2
