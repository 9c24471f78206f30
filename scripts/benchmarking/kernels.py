"""Compile every plan of the CUDA kernels for an H200, without one, and report what the compiler says."""

import importlib.metadata
import multiprocessing
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from typing import NamedTuple

from scripts.benchmarking.kernel_records import KernelReport, KernelRow
from scripts.benchmarking.machine import describe_machine
from simlstm.rnn.backends.cuda.plan import Chip, Plan, candidates

HIDDEN_SIZES = (100, 128, 256, 300, 512, 1024)
BATCHES = (64, 4096)
_NAMES = ("bfloat16", "tf32", "float32")  # float16 takes what bfloat16 takes
CAPABILITY, MULTIPROCESSORS = 90, 132  # of an H200


class _Job(NamedTuple):
    role: str
    arithmetic: str
    hidden_size: int
    plan: Plan
    batches: list[int]


def measure(hidden_sizes: Sequence[int] = HIDDEN_SIZES, batches: Sequence[int] = BATCHES) -> KernelReport:
    """Compile every candidate for bidirectional layers, in as many processes as there are cores.

    Args:
        hidden_sizes: H of each.
        batches: B: plans are chosen by it.

    Raises:
        RuntimeError: when triton is not installed.
    """
    if find_spec("triton") is None:
        raise RuntimeError("kernels: the package 'triton' is missing; pip install triton (there is one for Linux only)")
    jobs = list(_jobs(hidden_sizes, batches))
    # A process that torch has started threads in is not copied but begun anew.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        results = list(pool.map(_compile, jobs))
    return KernelReport(
        machine=describe_machine(),
        capability=CAPABILITY,
        multiprocessors=MULTIPROCESSORS,
        triton=importlib.metadata.version("triton"),
        rows=[result for result in results if isinstance(result, KernelRow)],
        failed=[result for result in results if isinstance(result, str)],
    )


def _jobs(hidden_sizes: Sequence[int], batches: Sequence[int]) -> Iterator[_Job]:
    from simlstm.rnn.backends.cuda.ahead import ARITHMETICS, ROLES, problem_for

    chip = Chip(MULTIPROCESSORS)
    for role in ROLES:
        for name in _NAMES:
            arithmetic = ARITHMETICS[name]
            for hidden_size in hidden_sizes:
                first: dict[Plan, list[int]] = {}
                for sequences in batches:
                    for place, plan in enumerate(
                        candidates(problem_for(role, arithmetic, hidden_size, sequences), chip)
                    ):
                        first.setdefault(plan, []).extend([sequences] if place == 0 else [])
                for plan, taken in first.items():
                    yield _Job(role, name, hidden_size, plan, taken)


def _compile(job: _Job) -> KernelRow | str:
    from simlstm.rnn.backends.cuda.ahead import ARITHMETICS, ROLES, compile_ahead, problem_for

    role = next(role for role in ROLES if role == job.role)
    arithmetic = ARITHMETICS[job.arithmetic]
    problem = problem_for(role, arithmetic, job.hidden_size, max(BATCHES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its defaults, which later versions of Triton may change
        try:
            compiled = compile_ahead(role, problem, job.plan, arithmetic, capability=CAPABILITY)
        except (RuntimeError, OSError) as error:
            return f"{role}, {job.arithmetic}, H={job.hidden_size}, {job.plan}: {error}"
    counts = compiled.instructions
    plan = {name: value for name, value in job.plan.describe().items() if name != "at_once"}
    return KernelRow.model_validate(
        plan
        | {
            "role": role,
            "arithmetic": job.arithmetic,
            "hidden_size": job.hidden_size,
            "batches": job.batches,
            "registers": compiled.registers,
            "stack_bytes": compiled.stack_bytes,
            "spills": counts["spill_loads"] + counts["spill_stores"],
            "hgmma": counts["hgmma"],
            "hmma": counts["hmma"],
            "shared_bytes": compiled.shared_bytes,
            "code_bytes": compiled.code_bytes,
        }
    )
