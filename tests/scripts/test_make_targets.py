"""What `make run` and `make demo` do, as make itself tells: the newcomer's first command trains nothing."""

import os
import shutil
import subprocess

import pytest

from tests.conftest import REPOSITORY


def planned(*arguments):
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    # What `make test PORT=9000` hands on to its children is no argument of these.
    own = {
        key: value for key, value in os.environ.items() if key not in {"PORT", "MODEL", "RUN", "MAKEFLAGS", "MFLAGS"}
    }
    result = subprocess.run(["make", "--dry-run", *arguments], cwd=REPOSITORY, env=own, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return [line for line in result.stdout.splitlines() if "scripts/" in line]


def test_run_serves_a_shipped_checkpoint_at_once():
    (command,) = planned("run")
    assert command.endswith("scripts/serve.py --model en --port 8000")
    assert planned("run", "MODEL=zh", "PORT=9000")[0].endswith("--model zh --port 9000")


def test_demo_is_the_whole_tour():
    trains, evaluates, serves = planned("demo")
    assert "scripts/train.py --config configs/demo.toml --out runs/demo" in trains
    assert evaluates.endswith("scripts/evaluate.py --model runs/demo --data demo:test")
    assert serves.endswith("scripts/serve.py --model runs/demo --port 8000")
