"""One packed LSTM layer in torch operations: the truth for the other backends, and the fallback.

Products over all rows are here, the loops over time in :mod:`simlstm.rnn.backends.recurrence`, the buffers of both in
:mod:`simlstm.rnn.backends.buffers`. README.md derives the backward pass.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from simlstm.rnn.backends import differentiable
from simlstm.rnn.backends.buffers import in_reading_order, output_gradient, state_buffer, to_output
from simlstm.rnn.backends.recurrence import walk_backward, walk_forward
from simlstm.rnn.plain_gradients import are_batched, differentiable_gradients
from simlstm.rnn.precision import cast_like, gate_dtype, without_autocast
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights, by_direction


def lstm_layer(
    x: Tensor, walk: PackedWalk, h0: Tensor, c0: Tensor, weights: Sequence[DirectionWeights], products: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer over a packed batch; see :func:`simlstm.rnn.dispatch.lstm_layer`."""
    flat = [tensor for direction in weights for tensor in direction]
    y, hT, cT = _LayerFunction.apply(x, h0, c0, walk, products, *flat)  # type: ignore[no-untyped-call]
    return y, hT, cT


class _LayerFunction(torch.autograd.Function):
    """One layer, with the hand-written backward pass that README.md derives."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h0: Tensor, c0: Tensor, walk: PackedWalk, products: torch.dtype, *flat: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.walk, ctx.products = walk, products
        with without_autocast(x.device):
            weights = by_direction(flat, products)
            gates = _input_gates(x.to(products), walk, weights)
            h_states, c_states = state_buffer(h0, walk, products), state_buffer(c0, walk, gates.dtype)
            walk_forward(walk, gates, h_states, c_states, *_recurrent_weights(weights))
            ctx.save_for_backward(x, h0, c0, *flat, gates, h_states, c_states)
            y = to_output(h_states[:, walk.sequences :], walk)
            return y.to(h0.dtype), walk.last(h_states).to(h0.dtype), walk.last(c_states).to(c0.dtype)

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, dhT: Tensor | None, dcT: Tensor | None) -> tuple[Tensor | None, ...]:
        *inputs, gates, h_states, c_states = ctx.saved_tensors
        needed = [*ctx.needs_input_grad[:3], *ctx.needs_input_grad[5:]]
        with without_autocast(gates.device):
            if torch.is_grad_enabled() or are_batched((dy, dhT, dcT)):
                gradients = differentiable_gradients(
                    lambda x, h0, c0, *flat: differentiable.lstm_layer(
                        x, ctx.walk, h0, c0, by_direction(flat, gates.dtype)
                    ),
                    inputs,
                    needed,
                    (dy, dhT, dcT),
                )
            else:
                dh_states = output_gradient(h_states, gates.dtype, ctx.walk, dy, dhT)
                dc = c_states.new_zeros(inputs[2].shape) if dcT is None else dcT.to(c_states.dtype, copy=True)
                weights = by_direction(inputs[3:], ctx.products)
                d_gates, operands = walk_backward(
                    ctx.walk, gates, c_states, dh_states, dc, *_recurrent_weights(weights)
                )
                dx, *d_flat = _product_gradients(
                    ctx.walk, inputs[0], weights, needed, gates, h_states, c_states, dh_states, d_gates, operands
                )
                gradients = [dx, dh_states[:, : ctx.walk.sequences], dc, *d_flat]
        gradients = [gradient if is_needed else None for gradient, is_needed in zip(gradients, needed, strict=True)]
        dx, dh0, dc0, *d_flat = cast_like(gradients, inputs)
        return dx, dh0, dc0, None, None, *d_flat


def _recurrent_weights(weights: list[DirectionWeights]) -> tuple[list[Tensor], list[Tensor] | None]:
    w_hr = [direction.w_hr for direction in weights if direction.w_hr is not None]
    return [direction.w_hh for direction in weights], w_hr or None


def _input_gates(x: Tensor, walk: PackedWalk, weights: list[DirectionWeights]) -> Tensor:
    """Return what the input adds to each gate of every step, [D, N, 4H], each direction in its own order."""
    gates = x.new_empty(len(weights), walk.rows, weights[0].w_ih.shape[0], dtype=gate_dtype(x.dtype))
    for direction, (w_ih, _, b_ih, b_hh, _) in enumerate(weights):
        rows = in_reading_order(x, walk, direction)
        out = gates[direction] if gates.dtype == x.dtype else None
        if b_ih is None or b_hh is None:
            result = torch.mm(rows, w_ih.t(), out=out)
        else:
            result = torch.addmm(b_ih + b_hh, rows, w_ih.t(), out=out)
        if out is None:
            gates[direction] = result
    return gates


def _product_gradients(
    walk: PackedWalk,
    x: Tensor,
    weights: list[DirectionWeights],
    needed: list[bool],
    gates: Tensor,
    h_states: Tensor,
    c_states: Tensor,
    dh_states: Tensor,
    d_gates: Tensor,
    operands: Tensor,
) -> list[Tensor | None]:
    """Return the gradients of x and of each direction's parameters: each one product over all rows."""
    need_x, _, _, *need_flat = needed
    products = weights[0].w_ih.dtype
    dx: Tensor | None = None
    d_flat: list[Tensor | None] = []
    h_before = walk.before(h_states)
    for direction, w in enumerate(weights):
        need_w_ih, need_w_hh, need_b_ih, need_b_hh, need_w_hr = need_flat[5 * direction : 5 * direction + 5]
        dw_ih = dw_hh = db = dw_hr = None
        own_order = operands[direction]
        if need_x or need_w_ih:
            input_order = in_reading_order(own_order, walk, direction)
            if need_x:
                dx = input_order @ w.w_ih if dx is None else dx.addmm_(input_order, w.w_ih)
            if need_w_ih:
                dw_ih = input_order.t() @ x.to(products)
        if need_w_hh:
            dw_hh = own_order.t() @ h_before[direction]
        if need_b_ih or need_b_hh:
            db = d_gates[direction].sum(0)
        if need_w_hr:
            o, c = gates[direction].chunk(4, 1)[3], c_states[direction, walk.sequences :]
            dw_hr = dh_states[direction, walk.sequences :].t().to(products) @ (o * c.tanh()).to(products)
        # Two parameters may not share a gradient: whoever changes one in place would change both.
        d_flat += [dw_ih, dw_hh, db, None if db is None else db.clone(), dw_hr]
    return [dx, *d_flat]
