"""A crash at any moment leaves the old checkpoint or the new one, never half, and the training state untouched."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in memory where there is one: hundreds of writes wait for the disk several times each.

    A killed process loses nothing that the system holds in memory, so the disk has no part in this test.
    """
    memory = Path("/dev/shm")  # noqa: S108
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="forks and kills processes")
def test_crashes_leave_the_old_checkpoint_or_the_new_one(scratch: Path) -> None:
    script = Path(__file__).with_name("crash_checkpoints.py")
    result = subprocess.run(
        [sys.executable, str(script), str(scratch / "run")],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr
    assert "crash points" in result.stdout
    assert "kills in the middle of a write" in result.stdout
