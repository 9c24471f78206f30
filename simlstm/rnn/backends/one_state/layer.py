"""One packed layer with one state: the autograd.Function around a recurrence.

h is kept in the gates' dtype, never below float32, unlike an LSTM's: here it is the only memory, and rounding it at
every step would add up. Only what a product reads is in the products' dtype.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from simlstm.rnn.backends.buffers import output_gradient, state_buffer, to_output
from simlstm.rnn.backends.one_state import differentiable
from simlstm.rnn.backends.one_state.products import fill_from_input, product_gradients
from simlstm.rnn.backends.one_state.recurrence import Recurrence
from simlstm.rnn.plain_gradients import are_batched, differentiable_gradients
from simlstm.rnn.precision import cast_like, gate_dtype, without_autocast
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights, by_direction


def one_state_layer(
    recurrence: Recurrence,
    x: Tensor,
    walk: PackedWalk,
    h0: Tensor,
    weights: Sequence[DirectionWeights],
    products: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Run one layer over a packed batch; see :func:`simlstm.rnn.dispatch.one_state_layer`."""
    flat = [tensor for direction in weights for tensor in direction]
    y, hT = _LayerFunction.apply(x, h0, recurrence, walk, products, *flat)  # type: ignore[no-untyped-call]
    return y, hT


class _LayerFunction(torch.autograd.Function):
    """One layer, with the hand-written backward pass that the recurrence brings."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h0: Tensor,
        recurrence: Recurrence,
        walk: PackedWalk,
        products: torch.dtype,
        *flat: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.recurrence, ctx.walk, ctx.products = recurrence, walk, products
        with without_autocast(x.device):
            h_states = state_buffer(h0, walk, gate_dtype(products))
            gates = recurrence.gate_buffer(walk, h_states)
            weights = by_direction(flat, products)
            fill_from_input(recurrence, walk, gates, x.to(products), weights)
            recurrence.walk_forward(walk, gates, h_states, [direction.w_hh for direction in weights])
            ctx.save_for_backward(x, h0, *flat, gates, h_states)
            return to_output(h_states[:, walk.sequences :], walk).to(h0.dtype), walk.last(h_states).to(h0.dtype)

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, dhT: Tensor | None) -> tuple[Tensor | None, ...]:
        *inputs, gates, h_states = ctx.saved_tensors
        needed = [*ctx.needs_input_grad[:2], *ctx.needs_input_grad[5:]]
        with without_autocast(gates.device):
            if torch.is_grad_enabled() or are_batched((dy, dhT)):
                gradients = differentiable_gradients(
                    lambda x, h0, *flat: differentiable.one_state_layer(
                        ctx.recurrence, x, ctx.walk, h0, by_direction(flat, gates.dtype)
                    ),
                    inputs,
                    needed,
                    (dy, dhT),
                )
            else:
                weights = by_direction(inputs[2:], ctx.products)
                dh_states = output_gradient(h_states, h_states.dtype, ctx.walk, dy, dhT)
                d_gates, operands = ctx.recurrence.walk_backward(
                    ctx.walk, gates, h_states, dh_states, [direction.w_hh for direction in weights]
                )
                dh0 = dh_states[:, : ctx.walk.sequences] if needed[1] else None
                dx, *d_flat = product_gradients(
                    ctx.recurrence, ctx.walk, inputs[0], weights, needed, h_states, d_gates, operands
                )
                gradients = [dx, dh0, *d_flat]
        dx, dh0, *d_flat = cast_like(gradients, inputs)
        return dx, dh0, None, None, None, *d_flat
