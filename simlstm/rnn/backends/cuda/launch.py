"""Starting the kernels: buffers, grids, and one launch for all steps or one for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from simlstm.rnn.backends.cuda.arithmetic import Arithmetic
from simlstm.rnn.backends.cuda.kernels.backward_split import backward_split
from simlstm.rnn.backends.cuda.kernels.backward_whole import backward_whole
from simlstm.rnn.backends.cuda.kernels.forward_split import forward_split
from simlstm.rnn.backends.cuda.kernels.forward_whole import forward_whole
from simlstm.rnn.backends.cuda.plan import Chip, Plan, Problem, groups, resident_parts, slices
from simlstm.rnn.backends.cuda.presence import is_interpreted
from simlstm.rnn.device_walk import DeviceWalk

_LANGUAGE = {torch.bfloat16: tl.bfloat16, torch.float16: tl.float16, torch.float32: tl.float32}


@dataclass(frozen=True)
class Recurrent:
    """The weights of a layer that the kernels read.

    Attributes:
        w_hh: for each direction [4H, H] in the dtype of the products.
        b_ih: for each direction [4H] of any floating dtype, or None: then there are no biases.
        b_hh: likewise.
    """

    w_hh: Sequence[Tensor]
    b_ih: Sequence[Tensor] | None = None
    b_hh: Sequence[Tensor] | None = None

    @property
    def directions(self) -> int:
        """D."""
        return len(self.w_hh)

    @property
    def hidden_size(self) -> int:
        """H."""
        return self.w_hh[0].shape[1]

    def pair(self, tensors: Sequence[Tensor] | None) -> tuple[Tensor | None, Tensor | None]:
        """Return the first direction's tensor and the last one's, which a kernel of one direction does not read."""
        return (None, None) if tensors is None else (aligned(tensors[0]), aligned(tensors[-1]))


@dataclass(frozen=True)
class Kept:
    """What a forward pass keeps for the backward pass, at each row.

    Attributes:
        gates: [N, D, 4H], activated.
        h_before: [N, D, H], h before the step, as the products took it.
        c_before: float32 [N, D, H].
    """

    gates: Tensor
    h_before: Tensor
    c_before: Tensor


@dataclass(frozen=True)
class Wanted:
    """Where a forward pass writes; None is not wanted.

    Attributes:
        y: [N, D * H], h at every row.
        hT: [D, B, H]; holds h0 before, and keeps it for sequences without a step.
        kept: for the backward pass.
        maximum: float32 [B, D * H], the maximum of h over the steps.
        total: float32 [B, D * H], their sum.
    """

    y: Tensor | None = None
    hT: Tensor | None = None  # noqa: N815
    kept: Kept | None = None
    maximum: Tensor | None = None
    total: Tensor | None = None


@cache
def chip_of(device: torch.device) -> Chip:
    """Return what a plan needs to know of a device; of the CPU, where the interpreter runs, that of an H200."""
    if device.type != "cuda":
        return Chip(multiprocessors=132)
    properties = torch.cuda.get_device_properties(device)
    return Chip(properties.multi_processor_count, properties.shared_memory_per_block_optin)  # type: ignore[attr-defined]


def problem_of(recurrent: Recurrent, sequences: int, arithmetic: Arithmetic, *, backward: bool, keeps: bool) -> Problem:
    """Return what a plan for a call is chosen by."""
    return Problem(
        hidden_size=recurrent.hidden_size,
        directions=recurrent.directions,
        sequences=sequences,
        products=arithmetic.products,
        precision=arithmetic.precision,
        backward=backward,
        keeps=keeps,
    )


def forward(
    gates: Tensor,
    ids: Tensor | None,
    walk: DeviceWalk,
    recurrent: Recurrent,
    states: tuple[Tensor, Tensor] | None,
    arithmetic: Arithmetic,
    plan: Plan,
    wanted: Wanted,
) -> Tensor:
    """Run one layer over a batch.

    Args:
        gates: [*, D * 4H], what the input adds to the gates, a row of its own for each row of the batch; or a table.
        ids: int32 or int64 [N], the row of the table for each row of the batch; None: row n for row n.
        walk: the layout.
        recurrent: the weights.
        states: h0 and c0, [D, B, H] each; None: zeros.
        arithmetic: of the call.
        plan: how it is cut.
        wanted: where results go.

    Returns:
        Tensor: cT, float32 [D, B, H].
    """
    directions, hidden_size, sequences = recurrent.directions, recurrent.hidden_size, walk.sequences
    kept = wanted.kept
    arguments: dict[str, Any] = _common(walk, recurrent, arithmetic, plan)
    arguments |= {
        "gates": gates,
        "ids": ids,
        "y": wanted.y,
        "hT": wanted.hT,
        "kept_gates": None if kept is None else kept.gates,
        "kept_h": None if kept is None else kept.h_before,
        "kept_c": None if kept is None else kept.c_before,
        "maximum": wanted.maximum,
        "total": wanted.total,
    }
    arguments["b_ih_forward"], arguments["b_ih_reverse"] = recurrent.pair(recurrent.b_ih)
    arguments["b_hh_forward"], arguments["b_hh_reverse"] = recurrent.pair(recurrent.b_hh)
    shape = (directions, sequences, hidden_size)
    if plan.kernel == "whole":
        h0, c0 = (None, None) if states is None else (aligned(states[0]), aligned(states[1]))
        cT = torch.empty(shape, dtype=torch.float32, device=gates.device)
        blocks = -(-sequences // plan.block_sequences)
        forward_whole[(blocks * directions,)](
            **arguments, h0=h0, c0=c0, cT=cT, BLOCK_HIDDEN=plan.block_units, **_options(plan)
        )
        return cT
    exchange = torch.zeros(2, *shape, dtype=arithmetic.products, device=gates.device)
    if states is None:
        cells = torch.zeros(shape, dtype=torch.float32, device=gates.device)
    else:
        exchange.copy_(states[0].expand(2, *shape))
        cells = states[1].to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    if wanted.maximum is not None:
        wanted.maximum.fill_(-torch.inf)
    if wanted.total is not None:
        wanted.total.zero_()
    problem = problem_of(recurrent, sequences, arithmetic, backward=False, keeps=kept is not None)
    _launch_split(forward_split, arguments | {"exchange": exchange, "cells": cells}, plan, problem, walk.steps)
    return cells


def backward(
    walk: DeviceWalk,
    recurrent: Recurrent,
    kept: Kept,
    gradients: tuple[Tensor | None, Tensor | None, Tensor | None],
    arithmetic: Arithmetic,
    plan: Plan,
) -> tuple[Tensor, Tensor, Tensor]:
    """Walk one layer back.

    Args:
        walk: the layout.
        recurrent: the weights.
        kept: what the forward pass kept.
        gradients: dy [N, D * H], dhT [D, B, H] and dcT [D, B, H]; None where nothing arrives.
        arithmetic: of the call.
        plan: how it is cut.

    Returns:
        tuple: the gradient of the pre-activations, [N, D, 4H] in the dtype of the products; dh0 and dc0, float32
        [D, B, H].
    """
    directions, hidden_size, sequences = recurrent.directions, recurrent.hidden_size, walk.sequences
    dy, dhT, dcT = (None if gradient is None else aligned(gradient) for gradient in gradients)
    shape = (directions, sequences, hidden_size)
    d_gates = walk.new_rows(kept.gates, directions, 4 * hidden_size, dtype=arithmetic.products)
    dh0 = torch.empty(shape, dtype=torch.float32, device=d_gates.device)
    arguments = _common(walk, recurrent, arithmetic, plan)
    arguments |= {
        "kept_gates": kept.gates,
        "kept_c": kept.c_before,
        "dy": dy,
        "dhT": dhT,
        "d_gates": d_gates,
        "dh0": dh0,
    }
    if plan.kernel == "whole":
        dc0 = torch.empty(shape, dtype=torch.float32, device=d_gates.device)
        blocks = -(-sequences // plan.block_sequences)
        backward_whole[(blocks * directions,)](
            **arguments, dcT=dcT, dc0=dc0, BLOCK_HIDDEN=plan.block_units, **_options(plan)
        )
        return d_gates, dh0, dc0
    if dcT is None:
        cells = torch.zeros(shape, dtype=torch.float32, device=d_gates.device)
    else:
        cells = dcT.to(torch.float32, copy=True)
    problem = problem_of(recurrent, sequences, arithmetic, backward=True, keeps=False)
    # One step more than there are: it makes dh0.
    _launch_split(backward_split, arguments | {"cells": cells}, plan, problem, walk.steps + 1)
    return d_gates, dh0, cells


def aligned(tensor: Tensor) -> Tensor:
    """Return a tensor as the kernels take it: contiguous, at an address of 16 bytes, so that one form is compiled."""
    tensor = tensor.resolve_neg().contiguous()
    return tensor if tensor.data_ptr() % 16 == 0 else tensor.clone()


def _common(walk: DeviceWalk, recurrent: Recurrent, arithmetic: Arithmetic, plan: Plan) -> dict[str, Any]:
    w_forward, w_reverse = recurrent.pair(recurrent.w_hh)
    return {
        "offsets": aligned(walk.offsets),
        "places": None if walk.places is None else aligned(walk.places),
        "lengths": aligned(walk.lengths),
        "w_forward": w_forward,
        "w_reverse": w_reverse,
        "sequences": walk.sequences,
        "HIDDEN": recurrent.hidden_size,
        "DIRECTIONS": recurrent.directions,
        "PRODUCTS": _LANGUAGE[arithmetic.products],
        "PRECISION": arithmetic.precision,
        "APPROXIMATE": arithmetic.approximate,
        "BLOCK_SEQUENCES": plan.block_sequences,
    }


def _launch_split(
    kernel: "triton.runtime.KernelInterface[Any]",
    arguments: Mapping[str, Any],
    plan: Plan,
    problem: Problem,
    steps: int,
) -> None:
    chip = chip_of(arguments["offsets"].device)
    resident, rest = resident_parts(problem.hidden_size)
    count = groups(plan, problem, chip)
    programs = slices(problem.hidden_size, plan.block_units) * problem.directions * count
    announced = torch.zeros(count * problem.directions, dtype=torch.int32, device=arguments["offsets"].device)
    # The interpreter runs one program after the other: one that waits would wait for ever.
    at_once = plan.at_once and not is_interpreted()
    stretches = [(0, steps)] if at_once else [(step, step + 1) for step in range(steps)]
    for first_step, last_step in stretches:
        kernel[(programs,)](
            **arguments,
            announced=announced,
            groups=count,
            first_step=first_step,
            last_step=last_step,
            BLOCK_UNITS=plan.block_units,
            RESIDENT=resident,
            RESIDENT_REST=rest,
            BLOCK_K=plan.block_k,
            **_options(plan),
            launch_cooperative_grid=at_once,
        )


def _options(plan: Plan) -> dict[str, int | bool]:
    # Steps depend on one another through memory, which Triton's pipelining of loads does not see: no stages.
    return {"num_warps": plan.warps, "num_stages": 1, "enable_fp_fusion": True}
