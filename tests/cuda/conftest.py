"""What needs a GPU is skipped where there is none.

``make test-cuda`` runs all of it. Where only torch, triton, pytest and hypothesis are installed:
``PYTHONPATH=. python3 -m pytest -c /dev/null --rootdir . -q tests/cuda/test_kernels.py tests/cuda/test_layer.py``
"""

import faulthandler
import os
from collections.abc import Iterator

import pytest
import torch

# Triton 3.9 warns that its default will change; tests make errors of warnings.
os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")

# Programs that wait for one another would wait for ever if one did not run: the whole run ends, and says where.
SECONDS = 280

_stderr = 2


def pytest_configure(config: pytest.Config) -> None:
    """Keep a way to the terminal: what a test writes is captured, and lost when the process is ended."""
    global _stderr
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        with capture.global_and_fixture_disabled():
            _stderr = os.dup(2)


@pytest.fixture(autouse=True)
def _gpu() -> Iterator[None]:
    """Skip, and say why; end the process when a test does not end."""
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU that torch can use: torch.cuda.is_available() is false")
    faulthandler.dump_traceback_later(SECONDS, exit=True, file=_stderr)
    yield
    faulthandler.cancel_dump_traceback_later()
