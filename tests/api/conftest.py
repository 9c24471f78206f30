"""A real tiny model, and an application over it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from simlstm import SimilarityModel
from simlstm.models.calibration import Calibration, FittedOn, PlattParameters
from simlstm.models.config import ModelConfig
from simlstm.models.siamese import SiameseModel
from simlstm.text.tokenizer import Tokenizer

SENTENCES = [
    "A man is playing a guitar.",
    "Someone plays an instrument.",
    "A dog runs in the park.",
    "今天天气很好。",
    "天气真不错。",
    "How do I reset my password?",
]


def build_model(*, calibrated: bool = True, **options: object) -> SimilarityModel:
    tokenizer = Tokenizer.train(SENTENCES, kind="word")
    settings = {"embedding_size": 8, "hidden_size": 8, "head_hidden_size": 8, "max_tokens": 12} | options
    config = ModelConfig(
        vocabulary_size=tokenizer.vocabulary_size, unknown_id=tokenizer.unknown_id, kind="graded", **settings
    )
    torch.manual_seed(0)
    calibration = Calibration(
        method="platt",
        parameters=PlattParameters(slope=4.0, intercept=-2.0),
        threshold=0.5,
        threshold_metric="f1",
        fitted_on=FittedOn(name="sentences", rows=6, sha256="0" * 64),
    )
    return SimilarityModel(
        SiameseModel.from_config(config).eval(),
        tokenizer,
        config=config,
        calibration=calibration if calibrated else None,
        metrics={"spearman": 0.5},
        name="tiny",
    )


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(f"SIMLSTM_{field.upper()}", raising=False)


@pytest.fixture(scope="session")
def model() -> SimilarityModel:
    return build_model()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, model: SimilarityModel) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def serve(model: SimilarityModel) -> Iterator[Callable[..., TestClient]]:
    """Return a function that starts an application with the given settings, and another model if given."""
    clients: list[TestClient] = []

    def start(other: SimilarityModel | None = None, **settings: object) -> TestClient:
        client = TestClient(create_app(Settings(**settings), other or model))
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture(scope="module")
def client(model: SimilarityModel) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(), model)) as client:
        yield client
