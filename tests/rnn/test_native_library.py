"""Loading the native kernels: chosen, forced, switched off, absent, damaged."""

import subprocess
import sys

import pytest
import torch
from native_cases import needs_library

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


def use(**environment: str) -> tuple[str, str]:
    result = subprocess.run(
        [sys.executable, "-c", USE], capture_output=True, text=True, env=environment, timeout=120, check=False
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
