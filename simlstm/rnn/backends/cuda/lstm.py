"""One packed LSTM layer in the CUDA kernels, and the products around them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from simlstm.rnn.backends import differentiable, gaps
from simlstm.rnn.backends.cuda.arithmetic import SUPPORTED, Arithmetic
from simlstm.rnn.backends.cuda.launch import Kept, Recurrent, Wanted, aligned, backward, forward, problem_of
from simlstm.rnn.backends.cuda.tuning import plan_for
from simlstm.rnn.device_walk import DeviceWalk
from simlstm.rnn.plain_gradients import are_batched, are_operations_recorded, differentiable_gradients
from simlstm.rnn.precision import cast_like, without_autocast
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights, by_direction

# Weights of one direction among the arguments of the autograd.Function: w_ih, w_hh, b_ih, b_hh, w_hr.
_FIELDS = len(DirectionWeights._fields)


def can_run(x: Tensor, h0: Tensor, c0: Tensor, weights: Sequence[DirectionWeights], products: torch.dtype) -> bool:
    """Return whether the kernels serve this call: supported dtypes, no projection, everything on one device, no tracer.

    They believe their pointers. What does not fit is left to torch operations, which find the words for it.
    """
    gates, hidden_size = weights[0].w_hh.shape
    if (
        products not in SUPPORTED
        or weights[0].w_hr is not None
        or x.numel() == 0
        or gates != 4 * hidden_size
        or are_operations_recorded()
    ):
        return False
    state = (len(weights), h0.shape[1], hidden_size)
    shapes = [(h0, state), (c0, state), *(pair for w in weights for pair in _shapes(w, gates, x.shape[1]))]
    return all((w.b_ih is None) == (w.b_hh is None) for w in weights) and all(
        tensor.device == x.device and tensor.dtype in SUPPORTED and tensor.shape == shape for tensor, shape in shapes
    )


def lstm_layer(
    x: Tensor,
    walk: PackedWalk | DeviceWalk,
    h0: Tensor,
    c0: Tensor,
    weights: Sequence[DirectionWeights],
    products: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer over a batch; see :func:`simlstm.rnn.dispatch.lstm_layer`.

    Rows that are nobody's, where a ``DeviceWalk`` has gaps, are zeros in y; in x they must be finite.
    """
    flat = [tensor for direction in weights for tensor in direction]
    records = torch.is_grad_enabled()  # inside of forward, it never is
    y, hT, cT = _LayerFunction.apply(x, h0, c0, walk, products, records, *flat)  # type: ignore[no-untyped-call]
    return y, hT, cT


class _LayerFunction(torch.autograd.Function):
    """One layer, with the hand-written backward pass that README.md of ``simlstm.rnn`` derives."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h0: Tensor,
        c0: Tensor,
        walk: PackedWalk | DeviceWalk,
        products: torch.dtype,
        records: bool,
        *flat: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.walk, ctx.arithmetic = walk, Arithmetic.of(products)
        keeps = records and any(ctx.needs_input_grad)
        with without_autocast(x.device), _on_device(x):
            y, hT, cT, kept = _forward(x, h0, c0, _numbers(walk), ctx.arithmetic, _named(flat), keeps=keeps)
        if kept is not None:
            ctx.save_for_backward(x, h0, c0, *flat, kept.gates, kept.h_before, kept.c_before)
        return y, hT, cT

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, dhT: Tensor | None, dcT: Tensor | None) -> tuple[Tensor | None, ...]:
        *inputs, gates, h_before, c_before = ctx.saved_tensors
        needed = [*ctx.needs_input_grad[:3], *ctx.needs_input_grad[6:]]
        x = inputs[0]
        with without_autocast(x.device), _on_device(x):
            if torch.is_grad_enabled() or are_batched((dy, dhT, dcT)):
                found = differentiable_gradients(
                    lambda x, h0, c0, *flat: _differentiable(ctx.walk, x, h0, c0, by_direction(flat, torch.float32)),
                    inputs,
                    needed,
                    (dy, dhT, dcT),
                )
            else:
                found = _backward(
                    inputs, needed, _numbers(ctx.walk), ctx.arithmetic, Kept(gates, h_before, c_before), (dy, dhT, dcT)
                )
        gradients = [gradient if is_needed else None for gradient, is_needed in zip(found, needed, strict=True)]
        dx, dh0, dc0, *d_flat = cast_like(gradients, inputs)
        return dx, dh0, dc0, None, None, None, *d_flat


def _forward(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    walk: DeviceWalk,
    arithmetic: Arithmetic,
    weights: Sequence[DirectionWeights],
    *,
    keeps: bool,
) -> tuple[Tensor, Tensor, Tensor, Kept | None]:
    directions, hidden_size, products = len(weights), weights[0].w_hh.shape[1], arithmetic.products
    recurrent = _recurrent(weights, products)
    gates = x.new_empty(walk.rows, directions * 4 * hidden_size, dtype=products)
    operand = x.to(products)
    for d, out in enumerate(gates.chunk(directions, 1)):
        torch.mm(operand, weights[d].w_ih.to(products).t(), out=out)
    kept = None
    if keeps:
        kept = Kept(
            gates=x.new_empty(walk.rows, directions, 4 * hidden_size, dtype=arithmetic.kept),
            h_before=walk.new_rows(x, directions, hidden_size, dtype=products),  # gaps would reach a product
            c_before=x.new_empty(walk.rows, directions, hidden_size, dtype=torch.float32),
        )
    y = walk.new_rows(x, directions * hidden_size, dtype=h0.dtype)
    hT = h0.clone(memory_format=torch.contiguous_format)
    plan = plan_for(problem_of(recurrent, walk.sequences, arithmetic, backward=False, keeps=keeps), x.device)
    cT = forward(gates, None, walk, recurrent, (h0, c0), arithmetic, plan, Wanted(y=y, hT=hT, kept=kept))
    return y, hT, cT.to(c0.dtype), kept


def _backward(
    inputs: Sequence[Tensor],
    needed: Sequence[bool],
    walk: DeviceWalk,
    arithmetic: Arithmetic,
    kept: Kept,
    gradients: tuple[Tensor | None, Tensor | None, Tensor | None],
) -> list[Tensor | None]:
    x, _, _, *flat = inputs
    need_x, _, _, *need_flat = needed
    weights, products = _named(flat), arithmetic.products
    recurrent = _recurrent(weights, products)
    # Hooks on saved tensors may give them in any form.
    kept = Kept(aligned(kept.gates), aligned(kept.h_before), aligned(kept.c_before))
    plan = plan_for(problem_of(recurrent, walk.sequences, arithmetic, backward=True, keeps=False), x.device)
    d_gates, dh0, dc0 = backward(walk, recurrent, kept, gradients, arithmetic, plan)
    dx: Tensor | None = None
    d_flat: list[Tensor | None] = []
    for direction, w in enumerate(weights):
        need_w_ih, need_w_hh, need_b_ih, need_b_hh, _ = need_flat[_FIELDS * direction : _FIELDS * (direction + 1)]
        operand = d_gates[:, direction]  # [N, 4H], rows apart
        if need_x:
            w_ih = w.w_ih.to(products)
            dx = operand @ w_ih if dx is None else dx.addmm_(operand, w_ih)
        dw_ih = operand.t() @ x.to(products) if need_w_ih else None
        dw_hh = operand.t() @ kept.h_before[:, direction] if need_w_hh else None
        db = operand.sum(0, dtype=torch.float32) if need_b_ih or need_b_hh else None
        # Two parameters may not share a gradient: whoever changes one in place would change both.
        d_flat += [dw_ih, dw_hh, db, None if db is None else db.clone(), None]
    return [dx, dh0, dc0, *d_flat]


def _differentiable(
    walk: PackedWalk | DeviceWalk, x: Tensor, h0: Tensor, c0: Tensor, weights: Sequence[DirectionWeights]
) -> tuple[Tensor, Tensor, Tensor]:
    """Run the layer in operations that autograd follows; lengths that only the device knows are read."""
    if isinstance(walk, PackedWalk):
        return differentiable.lstm_layer(x, walk, h0, c0, weights)
    return gaps.lstm_layer(differentiable.lstm_layer, x, walk, h0, c0, weights)


def _recurrent(weights: Sequence[DirectionWeights], products: torch.dtype) -> Recurrent:
    w_hh = [w.w_hh.to(products) for w in weights]
    b_ih = [w.b_ih for w in weights if w.b_ih is not None]
    b_hh = [w.b_hh for w in weights if w.b_hh is not None]
    return Recurrent(w_hh, b_ih, b_hh) if b_ih and b_hh else Recurrent(w_hh)


def _named(flat: Sequence[Tensor | None]) -> list[DirectionWeights]:
    return [DirectionWeights(*flat[start : start + _FIELDS]) for start in range(0, len(flat), _FIELDS)]  # type: ignore[arg-type]


def _numbers(walk: PackedWalk | DeviceWalk) -> DeviceWalk:
    return walk.on_device if isinstance(walk, PackedWalk) else walk


def _shapes(w: DirectionWeights, gates: int, input_size: int) -> list[tuple[Tensor, tuple[int, ...]]]:
    shapes: list[tuple[Tensor, tuple[int, ...]]] = [(w.w_ih, (gates, input_size)), (w.w_hh, (gates, gates // 4))]
    return shapes + [(b, (gates,)) for b in (w.b_ih, w.b_hh) if b is not None]


def _on_device(x: Tensor) -> AbstractContextManager[object]:
    """Return a context in which kernels start where x is."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()
