"""A CPU that the benchmarks take for a GPU."""

import pytest

from scripts.benchmarking.cuda import command
from scripts.benchmarking.cuda.accelerator import HostAccelerator


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> HostAccelerator:
    """Put the CPU in the place of the GPU."""
    accelerator = HostAccelerator(cache_bytes=20_000)
    monkeypatch.setattr(command, "CudaAccelerator", lambda: accelerator)
    return accelerator
