"""A crash at any moment leaves the old checkpoint or the new one, never half, and the training state untouched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="forks and kills processes")
def test_crashes_leave_the_old_checkpoint_or_the_new_one(tmp_path: Path) -> None:
    script = Path(__file__).with_name("crash_checkpoints.py")
    result = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "run")],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr
    assert "crash points" in result.stdout
    assert "kills" in result.stdout
