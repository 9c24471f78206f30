"""Kernels compile for an H200 where there is none, and the compiler's result is what the plans count on."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import coverage
import pytest

from tests.cuda_interpreted.conftest import SWITCH
from tests.cuda_interpreted.ptx import Program

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed: none for this system")

# For a process of its own: this one keeps no compiler in memory.
DRIVER = Path(__file__).with_name("compile_cases.py")
CASES = [
    ("training", "bfloat16", 128),
    ("frozen", "bfloat16", 128),
    ("training", "bfloat16", 256),
    ("backward", "bfloat16", 256),
    ("inference", "float16", 300),
    ("backward", "tf32", 128),
    ("training", "float32", 100),
    ("inference", "float32", 5),
]
# In the cases above no register is spilled by the versions of Triton that they were tried with; another version may
# place some differently. Spilling that would be felt begins at dozens.
STACK_BYTES = 64
SHARED_BYTES = 227 * 1024
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def compiled():
    measured = ["-m", "coverage", "run", "--parallel-mode"] if coverage.Coverage.current() else []
    environment = {name: value for name, value in os.environ.items() if name != SWITCH}
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", *measured, DRIVER, json.dumps(CASES)],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return dict(zip(CASES, json.loads(finished.stdout), strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_fits_onto_the_chip_and_uses_it(case, compiled):
    result, (_, arithmetic, _) = compiled[case], case
    assert 0 < result["shared_bytes"] <= SHARED_BYTES
    assert result["stack_bytes"] <= STACK_BYTES
    assert 16 < result["registers"] <= 255
    # 128 KiB of instructions is what a multiprocessor keeps at hand.
    assert 1000 < result["code_bytes"] <= 128 * 1024
    tensor_cores = result["instructions"]["hgmma"] + result["instructions"]["hmma"]
    assert (tensor_cores > 0) == (arithmetic != "float32")
    if arithmetic == "float32":
        assert result["instructions"]["ffma"] > 100


@pytest.fixture(scope="module", params=[CASES[2], CASES[3]], ids=["forward", "backward"])
def exchanging(request, compiled):
    """Return the program of a kernel whose programs hand something on, and where the instructions for that stand."""
    result = compiled[request.param]
    assert result["plan"]["kernel"] == "split"
    program = Program(result["ptx"])
    acquires, releases = program.of(r"\.acquire\b"), program.of(r"\.release\b")
    handed_on = program.of(r"ld\.global\.cg\b|cp\.async\.cg\b")
    assert acquires
    assert len(releases) == 1
    assert handed_on
    return program, acquires, releases, handed_on


def test_nothing_handed_on_is_read_before_the_wait(exchanging):
    """Only the test that a program has waited at this step already, for its first block, leads around the wait."""
    program, acquires, _, handed_on = exchanging
    start = {0}
    assert program.reached(start) >= handed_on
    around = program.decisions_on(acquires)
    assert around
    assert not program.reached(start, acquires | around) & handed_on


def test_a_barrier_stands_between_the_wait_and_what_it_waits_for(exchanging):
    """One thread waits for all of a program."""
    program, acquires, _, handed_on = exchanging
    barriers = program.of(r"^bar\.sync|barrier\.sync")
    assert not program.reached(acquires, barriers) & handed_on


def test_a_barrier_stands_between_what_is_handed_on_and_its_announcement(exchanging):
    program, _, releases, handed_on = exchanging
    barriers, stores = program.of(r"^bar\.sync|barrier\.sync"), program.of(r"st\.global\b")
    assert stores
    assert program.reached(stores) >= releases
    assert not program.reached(stores | handed_on, barriers) & releases


def test_waiting_and_announcing_are_for_the_whole_device(exchanging):
    program, acquires, releases, _ = exchanging
    for place in acquires | releases:
        assert ".gpu." in program.lines[place]


def test_nothing_is_read_through_the_cache_that_is_never_coherent(exchanging):
    program, *_ = exchanging
    assert not program.of(r"ld\.global\.nc")


def test_the_interpreters_process_compiles_nothing():
    code = (
        "from simlstm.rnn.backends.cuda.ahead import *; from simlstm.rnn.backends.cuda.plan import *\n"
        "a = ARITHMETICS['bfloat16']; p = problem_for('training', a, 16, 1)\n"
        "compile_ahead('training', p, candidates(p, Chip(132))[0], a)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, SWITCH: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "TRITON_INTERPRET=1: kernels are interpreted in this process" in finished.stderr
