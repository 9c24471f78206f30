"""Run the tests of the interpreted kernels, each file in a process that interprets."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import coverage
import pytest

from tests.cuda_interpreted.conftest import IN_THIS_PROCESS, SWITCH

FOLDER = Path(__file__).parent
FILES = sorted(file.name for file in FOLDER.glob("test_*.py") if file.name not in IN_THIS_PROCESS)


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed: there is none for this system")
@pytest.mark.parametrize("file", FILES)
def test_interpreted(file):
    # What is measured of this process is measured of that one; not where it takes minutes and sees no line of its own.
    is_measured = coverage.Coverage.current() is not None and file != "test_parity.py"
    measured = ["-m", "coverage", "run", "--parallel-mode"] if is_measured else []
    finished = subprocess.run(
        [sys.executable, *measured, "-m", "pytest", "-q", "-p", "no:cacheprovider", FOLDER / file],
        cwd=FOLDER.parents[1],
        env={**os.environ, SWITCH: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        pytest.fail(f"{file}: exit {finished.returncode}\n{finished.stdout}\n{finished.stderr}", pytrace=False)
