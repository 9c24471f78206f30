"""A small tokenizer, models on it, and a checkpoint of one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from simlstm.models.calibration import Calibration
from simlstm.models.config import ModelConfig
from simlstm.models.siamese import SiameseModel
from simlstm.models.similarity import SimilarityModel
from simlstm.text.tokenizer import Tokenizer

TRAINING_TEXT = [
    "a man plays a guitar",
    "a woman sings",
    "the dog does not run across the green field today",
    "two children eat an apple",
    "一只猫在睡觉",
    "他没有弹吉他",
]


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TRAINING_TEXT)


@pytest.fixture
def make_model(tokenizer: Tokenizer) -> Callable[..., SimilarityModel]:
    """Build a model with random weights; the same seed gives the same weights."""

    def build(*, seed: int = 0, calibration: Calibration | None = None, **settings: Any) -> SimilarityModel:
        sizes = {"embedding_size": 7, "hidden_size": 5, "head_hidden_size": 6}
        if settings.get("head", "mlp") != "mlp":
            del sizes["head_hidden_size"]
        config = ModelConfig(
            vocabulary_size=tokenizer.vocabulary_size, unknown_id=tokenizer.unknown_id, **{**sizes, **settings}
        )
        torch.manual_seed(seed)
        return SimilarityModel(
            SiameseModel.from_config(config),
            tokenizer,
            config=config,
            calibration=calibration,
            metrics={"dev": {"spearman": 0.75}, "seed": seed},
            provenance={"seed": seed, "data": [{"name": "demo", "sha256": "0" * 64}]},
            name=f"seed{seed}",
        )

    return build


@pytest.fixture
def platt() -> Calibration:
    return Calibration.model_validate(
        {
            "method": "platt",
            "parameters": {"slope": 4.0, "intercept": -2.0},
            "threshold": 0.5,
            "threshold_metric": "f1",
            "positive_from": 0.6,
            "fitted_on": {"name": "demo dev", "rows": 500, "sha256": "0" * 64},
        }
    )


@pytest.fixture
def folder(make_model: Callable[..., SimilarityModel], platt: Calibration, tmp_path: Path) -> Path:
    make_model(calibration=platt).save_pretrained(tmp_path / "run")
    return tmp_path / "run"
