"""How the work of a call is cut into programs.

Nothing here looks at lengths or at the exact batch size: a plan serves every batch of about the same size, so that no
kernel is compiled for one batch alone.
"""

from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Literal

import torch

# What a multiprocessor's memory holds beside the weights of a program: h and the results of a step.
_BESIDE_WEIGHTS = 67 * 1024
_SHARED_EXTRA = 4 * 1024
_SMALLEST_BLOCK = 16  # a matrix instruction has 16 rows; Triton takes no fewer


@dataclass(frozen=True)
class Chip:
    """What a plan needs to know of a device.

    Attributes:
        multiprocessors: how many there are; so many programs can wait for one another.
        shared_bytes: what a program may take of the memory of its multiprocessor.
    """

    multiprocessors: int
    shared_bytes: int = 227 * 1024


@dataclass(frozen=True)
class Problem:
    """What a plan is chosen by.

    Attributes:
        hidden_size: H.
        directions: D.
        sequences: B.
        products: dtype of a recurrent weight.
        precision: of the products, see ``Arithmetic``.
        backward: whether it is the backward pass.
        keeps: whether a forward pass keeps what the backward pass needs.
    """

    hidden_size: int
    directions: int
    sequences: int
    products: torch.dtype
    precision: str
    backward: bool
    keeps: bool


@dataclass(frozen=True)
class Plan:
    """How a call is cut.

    Attributes:
        kernel: "whole", where a program has all units of its sequences; or "split", where it has some of them.
        block_sequences: sequences of a program at a time.
        block_units: units of a program; of "whole", H rounded up to a power of two.
        block_k: 0 when the weights stay on the chip for all steps; else how many rows of h are multiplied at a time.
        warps: of a program.
        at_once: whether one launch does all steps; only "split" may need one for each.
    """

    kernel: Literal["whole", "split"]
    block_sequences: int
    block_units: int
    block_k: int
    warps: int
    at_once: bool

    def describe(self) -> dict[str, str | int | bool]:
        """Return the plan by the names of its attributes, for files and reports."""
        return asdict(self)


def resident_parts(hidden_size: int) -> tuple[int, int]:
    """Cut H into two powers of two that cover it, the second one smaller, or 0: blocks of a kernel have such sizes."""
    first = max(_SMALLEST_BLOCK, 1 << (hidden_size.bit_length() - 1))
    rest = hidden_size - first
    if rest <= 0:
        return first, 0
    second = max(_SMALLEST_BLOCK, power_of_two(rest))
    return (2 * first, 0) if second >= first else (first, second)


def power_of_two(number: int) -> int:
    """Return the smallest power of two that is no smaller."""
    return 1 << (number - 1).bit_length()


def slices(hidden_size: int, block_units: int) -> int:
    """Return into how many programs "split" cuts the units."""
    return -(-hidden_size // block_units)


def groups(plan: Plan, problem: Problem, chip: Chip) -> int:
    """Return how many groups of sequences "split" runs: as many as there are, or as fit onto the chip at once."""
    blocks = -(-problem.sequences // plan.block_sequences)
    if not plan.at_once:
        return blocks
    together = slices(problem.hidden_size, plan.block_units) * problem.directions
    return max(1, min(blocks, chip.multiprocessors // together))


def candidates(problem: Problem, chip: Chip) -> list[Plan]:
    """Return the plans that are worth measuring, the one to take unmeasured first."""
    plans = _whole(problem, chip) + _split_at_once(problem, chip)
    if plans:
        return plans
    plan = _streamed(problem, at_once=True)
    together = slices(problem.hidden_size, plan.block_units) * problem.directions
    return [plan if together <= chip.multiprocessors else replace(plan, at_once=False)]


@cache
def fits(problem: Problem, chip: Chip) -> bool:
    """Return whether the weights stay on the chip for all steps; full float32, which streams them, counts as if."""
    return bool(_whole(problem, chip) or _split_at_once(problem, chip))


def _is_full_float32(problem: Problem) -> bool:
    return problem.precision == "ieee" and problem.products == torch.float32


def _whole(problem: Problem, chip: Chip) -> list[Plan]:
    block = max(_SMALLEST_BLOCK, power_of_two(problem.hidden_size))
    if _is_full_float32(problem):
        return []  # multiplied without tensor cores, a product of all units is too much code
    if 4 * block * block * problem.products.itemsize > chip.shared_bytes - _BESIDE_WEIGHTS:
        return []
    if block >= 128:
        # 32 sequences spill some forty registers in training: only a measurement may choose them.
        return [Plan("whole", size, block, 0, 8, at_once=True) for size in (16, 32)]
    # 64 sequences spill in the backward pass when it has 64 units, 32 do with four warps.
    sizes = (16, 32) if problem.backward and block == 64 else (16, 32, 64)
    return [
        Plan("whole", size, block, 0, 8 if size * block >= 2048 else 4, at_once=True)
        for size in _ordered(sizes, problem, chip, 1)[:2]
    ]


def _split_at_once(problem: Problem, chip: Chip) -> list[Plan]:
    if _is_full_float32(problem):
        plan = _streamed(problem, at_once=True)
        together = slices(problem.hidden_size, plan.block_units) * problem.directions
        return [plan] if together <= chip.multiprocessors else []
    k = sum(resident_parts(problem.hidden_size))
    plans: list[Plan] = []
    for units in (64, 32, 16):
        together = slices(problem.hidden_size, units) * problem.directions
        weights = 4 * k * units * problem.products.itemsize
        if weights > chip.shared_bytes - _BESIDE_WEIGHTS or together > chip.multiprocessors:
            continue
        if problem.hidden_size <= units // 2:
            continue
        tiles = {
            size: warps
            for size, warps in _tiles(units, problem.hidden_size, backward=problem.backward).items()
            if _shared_bytes(size, units, k, problem) <= chip.shared_bytes
        }
        if not tiles:
            continue
        ordered = _ordered(tuple(tiles), problem, chip, slices(problem.hidden_size, units))
        # Each candidate costs seconds of compiling: of fewer units, only the likeliest takes part.
        chosen = ordered[: 1 if plans else 2]
        plans += [Plan("split", size, units, 0, tiles[size], at_once=True) for size in chosen]
    if plans and problem.sequences >= 1024 and problem.hidden_size >= 256:
        # So many rows keep the chip busy with products: weights may as well pass by, if the blocks are larger for it.
        # In the backward pass, 64 rows of four gates in TF32 would take more than a multiprocessor has.
        block_k = 128 // problem.products.itemsize
        plans += [
            Plan("split", size, units, block_k, 8, at_once=True)
            for size, units in ((128, 32), (64, 64))
            if slices(problem.hidden_size, units) * problem.directions <= chip.multiprocessors
        ]
    return plans


def _tiles(units: int, hidden_size: int, *, backward: bool) -> dict[int, int]:
    """Return the block sizes that "split" may take with so many units, and the warps of each.

    Read off the compiler's results for compute capability 9.0 (benchmarks/README.md): these spill no registers, or a
    few. 64 rows, which are multiplied by a group of warps at a time, spill in the backward pass, and forward when the
    weights are in two parts or very long. Of 32 rows and 32 units or fewer, every warp computes parts of the others.
    """
    tiles = {16: 2 if units == _SMALLEST_BLOCK and not backward else 4 if units <= 32 else 8, 32: 8}
    if not backward and resident_parts(hidden_size)[1] == 0:
        tiles[64] = 8
    return tiles


def _shared_bytes(block_sequences: int, units: int, k: int, problem: Problem) -> int:
    """Return what the compiler takes at most: weights, what a step multiplies, and room to turn results around."""
    operands = 4 if problem.backward else 1  # the gradients of all gates, or h
    items = (4 * units + operands * block_sequences) * k + block_sequences * units
    return items * problem.products.itemsize + _SHARED_EXTRA


def _streamed(problem: Problem, *, at_once: bool) -> Plan:
    if _is_full_float32(problem):
        return Plan("split", 16, 32, 16, 4, at_once)
    return Plan("split", 64 if problem.sequences > 32 else 16, 64, 32, 8, at_once)


def _ordered(sizes: tuple[int, ...], problem: Problem, chip: Chip, programs: int) -> list[int]:
    """Order block sizes: the smallest with which all sequences run at once first, then its neighbours."""
    room = max(1, chip.multiprocessors // (programs * problem.directions))
    fitting = [size for size in sizes if -(-problem.sequences // size) <= room]
    first = fitting[0] if fitting else sizes[-1]
    return sorted(sizes, key=lambda size: (abs(sizes.index(size) - sizes.index(first)), size))
