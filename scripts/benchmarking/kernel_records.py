"""What the results file of kernels that were compiled ahead of time holds."""

from typing import Annotated, Literal

from pydantic import Field

from scripts.benchmarking.records import Count, Machine, Record

Number = Annotated[int, Field(ge=0)]


class KernelRow(Record):
    """One plan of one problem, compiled.

    Attributes:
        batches: For which numbers of sequences it is the plan taken unmeasured; for none: others are before it.
        registers: Of a thread.
        stack_bytes: Of a thread; registers that did not suffice are spilled there.
        spills: Instructions that write to it or read from it.
        hgmma: Product instructions of a group of warps on tensor cores.
        hmma: Product instructions of one warp on tensor cores.
        shared_bytes: Of a program.
        code_bytes: Of the machine code.
    """

    role: Literal["inference", "training", "backward", "frozen"]
    arithmetic: str
    hidden_size: Count
    kernel: Literal["whole", "split"]
    block_sequences: Count
    block_units: Count
    block_k: Number
    warps: Count
    batches: list[int]
    registers: Count
    stack_bytes: Number
    spills: Number
    hgmma: Number
    hmma: Number
    shared_bytes: Number
    code_bytes: Count


class KernelReport(Record):
    """``simlstm benchmark kernels``: nothing here was run.

    Attributes:
        capability: Compute capability, times ten.
        multiprocessors: Of the device that the plans are for.
        triton: Version of the compiler.
        failed: What did not compile, and why.
    """

    subject: Literal["kernels"] = "kernels"
    machine: Machine
    capability: Count
    multiprocessors: Count
    triton: str
    rows: list[KernelRow]
    failed: list[str]
