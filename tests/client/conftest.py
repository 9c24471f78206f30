"""A live server over a tiny model, and each of the two clients in turn."""

from collections.abc import Iterator

import pytest

from simlstm import SimilarityModel
from tests.api.conftest import gated, model, no_settings_from_outside
from tests.api.live import LiveServer
from tests.client.both import BOTH, Threaded

__all__ = ["gated", "model", "no_settings_from_outside"]


@pytest.fixture(params=BOTH, ids=lambda kind: kind.__name__.lower())
def kind(request: pytest.FixtureRequest) -> type[Threaded]:
    return request.param


@pytest.fixture(scope="module")
def server(model: SimilarityModel) -> Iterator[LiveServer]:
    with LiveServer(model) as server:
        yield server


@pytest.fixture
def ask(kind: type[Threaded], server: LiveServer) -> Threaded:
    return kind(server.url)
