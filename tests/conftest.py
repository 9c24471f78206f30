"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# No test is timed: a shared machine can stand still for a second.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    """Keep each test process on few threads: tests run in parallel processes, and the shapes are small."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of public data sets beside the repository, or skip: a fresh clone does not have it."""
    folder = Path(os.environ.get("SIMLSTM_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the public data sets are not at {folder}; set SIMLSTM_SHARED_DATA to use them")
    return folder
