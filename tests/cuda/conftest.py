"""What needs a GPU is skipped where there is none."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _gpu() -> None:
    """Skip, and say why."""
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU that torch can use: torch.cuda.is_available() is false")
