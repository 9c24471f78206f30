"""What launches compile, without a GPU: one form of a kernel for each form of a call, and none for a batch."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cuda_interpreted.conftest import SWITCH

CASES = Path(__file__).with_name("launch_cases.py")
ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed: there is none for this system")
@pytest.mark.parametrize(("hidden_size", "kernel"), [(100, "whole"), (256, "split")])
def test_nothing_is_compiled_for_a_batch(hidden_size, kernel):
    environment = {name: value for name, value in os.environ.items() if name != SWITCH}
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", CASES, str(hidden_size)],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    forward, backward = f"forward_{kernel}", f"backward_{kernel}"
    counts = json.loads(finished.stdout)
    assert counts["first batch"] == counts["other batches"] == {forward: 1, backward: 1}
    # Rows stand in the caller's order: the kernels are told where.
    assert counts["lengths on the device"] == counts["other lengths on the device"] == {forward: 2, backward: 2}
    # Inference, no biases, one direction; the way back is the same without biases.
    assert counts["other forms"] == {forward: 5, backward: 3}
