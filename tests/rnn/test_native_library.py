"""Loading the native kernels: chosen, forced, switched off, absent, damaged."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from native_cases import needs_library

import simlstm
from simlstm.rnn.backends.native import forced, instruction_set, runnable

USE = """
import logging, torch
logging.basicConfig(level=logging.INFO)
from simlstm.rnn import LSTM
from simlstm.rnn.backends.native import instruction_set
torch.manual_seed(0)
print("sum", float(LSTM(3, 5, bidirectional=True)(torch.ones(4, 2, 3))[0].double().sum()))
print("set", instruction_set())
"""


def use(folder: Path | None = None, **environment: str) -> tuple[str, str]:
    result = subprocess.run(
        [sys.executable, "-c", USE],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
        cwd=folder,  # Python looks for packages there first
    )
    return result.stdout, result.stderr


def value(output: str) -> float:
    return float(output.split("sum ")[1].split()[0])


@needs_library
def test_the_fastest_set_is_used_and_others_on_request():
    assert instruction_set() == runnable()[-1]
    with forced("portable"):
        assert instruction_set() == "portable"
    assert instruction_set() == runnable()[-1]


@needs_library
def test_an_unknown_set_is_refused_with_what_is_allowed():
    with pytest.raises(ValueError, match=r"one of \['portable'.*got 'mmx'"), forced("mmx"):
        pass
    output, errors = use(SIMLSTM_NATIVE="mmx")
    assert output == ""
    assert "SIMLSTM_NATIVE must be auto, off or one of ['portable'" in errors


@needs_library
def test_every_setting_gives_the_same_values():
    ours, _ = use(SIMLSTM_NATIVE="auto")
    off, _ = use(SIMLSTM_NATIVE="off")
    portable, _ = use(SIMLSTM_NATIVE="portable")
    assert f"set {runnable()[-1]}" in ours
    assert "set None" in off
    assert "set portable" in portable
    assert value(ours) == pytest.approx(value(off), rel=1e-5)
    assert value(portable) == pytest.approx(value(off), rel=1e-5)


def test_without_a_library_one_line_says_so_and_all_works(tmp_path):
    damaged = tmp_path / "_simlstm.so"
    damaged.write_bytes(b"not a library")
    off, _ = use(SIMLSTM_NATIVE="off")
    output, errors = use(SIMLSTM_NATIVE_LIBRARY=str(damaged))
    assert "set None" in output
    assert value(output) == value(off)
    assert errors.count("torch operations run instead") == 1


def test_a_library_of_other_sources_is_not_used():
    # Any library will do that lacks our functions.
    output, errors = use(SIMLSTM_NATIVE_LIBRARY=f"{torch.__path__[0]}/lib/libc10.so")
    assert "set None" in output
    assert "cannot be used" in errors


@needs_library
def test_a_stale_library_is_not_used_and_a_wheel_carries_no_sources(tmp_path):
    """The library knows what it was built from; a wheel has the library and nothing to compare it with."""
    root = Path(simlstm.__file__).parents[1]
    source = tmp_path / "source"
    shutil.copytree(root / "simlstm", source / "simlstm", ignore=shutil.ignore_patterns("__pycache__"))
    header = source / "simlstm/rnn/backends/native/native.h"
    header.write_text(header.read_text() + "// edited since\n")
    output, errors = use(source)
    assert "set None" in output
    assert errors.count("were built from other sources") == 1
    for file in header.parent.glob("*.h"):
        file.unlink()
    output, errors = use(source)
    assert f"set {runnable()[-1]}" in output
