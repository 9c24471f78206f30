"""A tiny model, its checkpoint, and clients of applications over it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from simlstm import SimilarityModel
from tests.api.tiny import Gate, GatedModel, build_model


@pytest.fixture(autouse=True, scope="session")
def no_settings_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for field in Settings.model_fields:
            patch.delenv(f"SIMLSTM_{field.upper()}", raising=False)
        yield


@pytest.fixture(scope="session")
def model() -> SimilarityModel:
    return build_model()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, model: SimilarityModel) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[GatedModel]:
    model = build_model(GatedModel)
    model.gate = Gate(tmp_path)
    model.gate.set()
    yield model
    model.gate.set()


@pytest.fixture
def serve(model: SimilarityModel) -> Iterator[Callable[..., TestClient]]:
    """Return a function that starts an application with the given settings, over another model if one is given."""
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
