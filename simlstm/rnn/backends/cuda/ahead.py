"""Compiling the kernels ahead of time, on a machine without a GPU, and reading from the result what they will cost."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from simlstm.rnn.backends.cuda.arithmetic import Arithmetic
from simlstm.rnn.backends.cuda.kernels.backward_split import backward_split
from simlstm.rnn.backends.cuda.kernels.backward_whole import backward_whole
from simlstm.rnn.backends.cuda.kernels.forward_split import forward_split
from simlstm.rnn.backends.cuda.kernels.forward_whole import forward_whole
from simlstm.rnn.backends.cuda.plan import Plan, Problem, resident_parts
from simlstm.rnn.backends.cuda.presence import INTERPRETER_SWITCH, is_interpreted

Role = Literal["inference", "training", "backward", "frozen"]
ROLES: tuple[Role, ...] = ("inference", "training", "backward", "frozen")

ARITHMETICS = {
    "bfloat16": Arithmetic(torch.bfloat16, "ieee", approximate=True, kept=torch.float16),
    "float16": Arithmetic(torch.float16, "ieee", approximate=True, kept=torch.float16),
    "tf32": Arithmetic(torch.float32, "tf32", approximate=True, kept=torch.float32),
    "float32": Arithmetic(torch.float32, "ieee", approximate=False, kept=torch.float32),
}

# What a block may take of the shared memory of a multiprocessor of compute capability 9.0.
SHARED_BYTES = 227 * 1024

_NAMES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
_LANGUAGE = {torch.bfloat16: tl.bfloat16, torch.float16: tl.float16, torch.float32: tl.float32}
# Instructions by the first letters of their names: products on tensor cores (of a group of warps, of one) and on
# ordinary units, and what is moved to and from memory because registers were too few.
_INSTRUCTIONS = {"hgmma": "HGMMA", "hmma": "HMMA", "ffma": "FFMA", "spill_loads": "LDL", "spill_stores": "STL"}


@dataclass(frozen=True)
class Compiled:
    """What the compiler says of one kernel, for one plan.

    Attributes:
        registers: of a thread; 255 at most.
        stack_bytes: of a thread.
        shared_bytes: of a program.
        code_bytes: of the machine code.
        instructions: how many stand in the code, not how many run: hgmma, hmma, ffma, spill_loads, spill_stores.
        ptx: the program before the last translation.
    """

    registers: int
    stack_bytes: int
    shared_bytes: int
    code_bytes: int
    instructions: dict[str, int]
    ptx: str


def problem_for(role: Role, arithmetic: Arithmetic, hidden_size: int, sequences: int, directions: int = 2) -> Problem:
    """Return the problem that a call in a role is planned by."""
    return Problem(
        hidden_size=hidden_size,
        directions=directions,
        sequences=sequences,
        products=arithmetic.products,
        precision=arithmetic.precision,
        backward=role == "backward",
        keeps=role == "training",
    )


def compile_ahead(
    role: Role, problem: Problem, plan: Plan, arithmetic: Arithmetic, *, capability: int = 90
) -> Compiled:
    """Compile the kernel of a plan as :mod:`simlstm.rnn.backends.cuda.launch` would start it.

    Args:
        role: "inference" and "training" have biases, initial states and y; "training" keeps what the backward pass
            needs; "frozen" reads a table by token ids and pools.
        problem: see :func:`problem_for`.
        plan: one of its candidates.
        arithmetic: one of ``ARITHMETICS``.
        capability: compute capability of the device, times ten.

    Raises:
        RuntimeError: Triton's interpreter is switched on, or has no compiler for this.
    """
    if is_interpreted():
        raise RuntimeError(f"{INTERPRETER_SWITCH}=1: kernels are interpreted in this process, none can be compiled")
    forward, backward = (forward_whole, backward_whole) if plan.kernel == "whole" else (forward_split, backward_split)
    kernel: Any = backward if role == "backward" else forward
    constants = _constants(problem, plan, arithmetic)
    types = _types(role, arithmetic)
    signature: dict[str, str] = {}
    constexprs: dict[tuple[int], Any] = {}
    attributes: dict[tuple[int], Any] = {}
    for place, name in enumerate(kernel.arg_names):
        kind = None if name in constants else types[name]
        if kind is None:
            signature[name] = "constexpr"
            constexprs[(place,)] = constants.get(name)
            continue
        signature[name] = kind
        if kind.startswith("*"):
            attributes[(place,)] = [["tt.divisibility", 16]]
    compiled = triton.compile(
        ASTSource(fn=kernel, signature=signature, constexprs=constexprs, attrs=attributes),
        target=GPUTarget("cuda", capability, 32),
        options={
            "num_warps": plan.warps,
            "num_stages": 1,
            "launch_cooperative_grid": plan.at_once,
            "enable_fp_fusion": True,
        },
    )
    cubin = compiled.asm["cubin"]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(cubin)
        usage = re.search(r"REG:(\d+) STACK:(\d+)", _disassembler("-res-usage", file))
        code = _disassembler("-sass", file)
    if usage is None:
        raise RuntimeError("the disassembler that comes with triton does not say how many registers a kernel has")
    return Compiled(
        registers=int(usage.group(1)),
        stack_bytes=int(usage.group(2)),
        shared_bytes=compiled.metadata.shared,
        # An instruction has 16 bytes and two comments of its code: its own, and that of the line below.
        code_bytes=16 * len(re.findall(r"^\s+/\*[0-9a-f]{4,}\*/", code, re.MULTILINE)),
        instructions={name: len(re.findall(rf"\b{start}", code)) for name, start in _INSTRUCTIONS.items()},
        ptx=compiled.asm["ptx"],
    )


def _constants(problem: Problem, plan: Plan, arithmetic: Arithmetic) -> dict[str, Any]:
    constants = {
        "HIDDEN": problem.hidden_size,
        "DIRECTIONS": problem.directions,
        "PRODUCTS": _LANGUAGE[arithmetic.products],
        "PRECISION": arithmetic.precision,
        "APPROXIMATE": arithmetic.approximate,
        "BLOCK_SEQUENCES": plan.block_sequences,
    }
    if plan.kernel == "whole":
        return constants | {"BLOCK_HIDDEN": plan.block_units}
    resident, rest = resident_parts(problem.hidden_size)
    blocks = {"BLOCK_UNITS": plan.block_units, "BLOCK_K": plan.block_k}
    return constants | blocks | {"RESIDENT": resident, "RESIDENT_REST": rest}


def _types(role: Role, arithmetic: Arithmetic) -> dict[str, str | None]:
    """Return the type of each argument in Triton's words; None where nothing is handed over."""
    rows, kept = f"*{_NAMES[arithmetic.products]}", f"*{_NAMES[arithmetic.kept]}"
    frozen, keeps = role == "frozen", role in ("training", "backward")
    parameter = None if frozen else rows
    pooled = "*fp32" if frozen else None
    biases = dict.fromkeys(("b_ih_forward", "b_hh_forward", "b_ih_reverse", "b_hh_reverse"), parameter)
    numbers = dict.fromkeys(("sequences", "groups", "first_step", "last_step"), "i32")
    return (
        biases
        | numbers
        | {
            "gates": rows,
            "ids": "*i32" if frozen else None,
            "offsets": "*i64",
            "places": None,
            "lengths": "*i32",
            "w_forward": rows,
            "w_reverse": rows,
            "h0": parameter,
            "c0": parameter,
            "y": parameter,
            "hT": parameter,
            "cT": "*fp32",
            "kept_gates": kept if keeps else None,
            "kept_h": rows if keeps else None,
            "kept_c": "*fp32" if keeps else None,
            "maximum": pooled,
            "total": pooled,
            "exchange": rows,
            "cells": "*fp32",
            "announced": "*i32",
            "dy": rows,
            "dhT": rows,
            "dcT": rows,
            "d_gates": rows,
            "dh0": "*fp32",
            "dc0": "*fp32",
        }
    )


def _disassembler(option: str, file: Path) -> str:
    program = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    return subprocess.run([program, option, file], capture_output=True, text=True, check=True).stdout  # noqa: S603
