"""One packed LSTM layer in torch's own operator, which on CUDA is cuDNN."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from simlstm.rnn.backends import differentiable
from simlstm.rnn.plain_gradients import are_batched, differentiable_gradients
from simlstm.rnn.precision import cast_like, without_autocast
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights, by_direction

# cuDNN's number of the kind of network, as torch.backends.cudnn.rnn has it.
_LSTM = 2


def can_run(x: Tensor, weights: Sequence[DirectionWeights], products: torch.dtype) -> bool:
    """Return whether torch's operator is cuDNN for this call: which dtypes that takes depends on torch's version."""
    return weights[0].w_hr is None and torch.cudnn_is_acceptable(x.new_empty(1, dtype=products))


def lstm_layer(
    x: Tensor, walk: PackedWalk, h0: Tensor, c0: Tensor, weights: Sequence[DirectionWeights], products: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer over a packed batch; see :func:`simlstm.rnn.dispatch.lstm_layer`.

    Its gradients can be differentiated, which cuDNN's cannot: then the layer is run again in plain operations.
    """
    flat = [tensor for direction in weights for tensor in direction]
    records = torch.is_grad_enabled()  # inside of forward, it never is
    y, hT, cT = _LayerFunction.apply(x, h0, c0, walk, products, records, *flat)  # type: ignore[no-untyped-call]
    return y, hT, cT


class _LayerFunction(torch.autograd.Function):
    """Torch's operator with a graph of its own inside."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h0: Tensor,
        c0: Tensor,
        walk: PackedWalk,
        products: torch.dtype,
        records: bool,
        *flat: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.walk, ctx.products = walk, products
        ctx.save_for_backward(x, h0, c0, *flat)
        needed = [records and is_needed for is_needed in (*ctx.needs_input_grad[:3], *ctx.needs_input_grad[6:])]
        inputs = (x, h0, c0, *_side_by_side(flat, products, x.shape[1]))
        leaves = [
            None if tensor is None else tensor.detach().requires_grad_(is_needed)
            for tensor, is_needed in zip(inputs, needed, strict=True)
        ]
        with torch.set_grad_enabled(any(needed)), without_autocast(x.device):
            results = _run(leaves, walk, products)
        ctx.inner = (leaves, results)
        y, hT, cT = (result.detach() for result in results)
        return y.to(h0.dtype), hT.to(h0.dtype), cT.to(c0.dtype)

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, dhT: Tensor | None, dcT: Tensor | None) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        needed = [*ctx.needs_input_grad[:3], *ctx.needs_input_grad[6:]]
        arrived = (dy, dhT, dcT)
        with without_autocast(inputs[0].device):
            if torch.is_grad_enabled() or are_batched(arrived):
                gradients = differentiable_gradients(
                    lambda x, h0, c0, *flat: differentiable.lstm_layer(
                        x, ctx.walk, h0, c0, by_direction(flat, torch.promote_types(ctx.products, torch.float32))
                    ),
                    inputs,
                    needed,
                    arrived,
                )
            else:
                leaves, results = ctx.inner
                reached = [(r, g.to(r.dtype)) for r, g in zip(results, arrived, strict=True) if g is not None]
                found = iter(
                    torch.autograd.grad(
                        [result for result, _ in reached],
                        [leaf for leaf, is_needed in zip(leaves, needed, strict=True) if is_needed],
                        [gradient for _, gradient in reached],
                        retain_graph=True,
                        allow_unused=True,
                    )
                )
                gradients = [next(found) if is_needed else None for is_needed in needed]
        dx, dh0, dc0, *d_flat = cast_like(gradients, inputs)
        return dx, dh0, dc0, None, None, None, *d_flat


def _run(inputs: Sequence[Tensor | None], walk: PackedWalk, products: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    x, h0, c0, *flat = inputs
    weights = [tensor for tensor in flat if tensor is not None]
    directions = len(flat) // len(DirectionWeights._fields)
    has_biases = len(weights) == 4 * directions
    batch_sizes = torch.tensor(walk.batch_sizes, device="cpu")
    y, hT, cT = torch._VF.lstm(
        cast("Tensor", x).to(products),
        batch_sizes,
        (cast("Tensor", h0).to(products), cast("Tensor", c0).to(products)),
        weights,
        has_biases,
        1,
        0.0,
        torch.is_grad_enabled(),
        directions == 2,
    )
    return y, hT, cT


def _side_by_side(weights: Sequence[Tensor | None], products: torch.dtype, input_size: int) -> list[Tensor | None]:
    """Copy the weights, as the operator takes them; for cuDNN into one piece of memory, as torch.nn.LSTM keeps its own.

    Weights that lie apart are copied by the operator at every call, with a warning.
    """
    copies = [None if tensor is None else tensor.detach().to(products, copy=True) for tensor in weights]
    there = [tensor for tensor in copies if tensor is not None]
    if torch.cudnn_is_acceptable(there[0]):
        directions = len(weights) // len(DirectionWeights._fields)
        hidden_size = there[1].shape[1]
        with torch.no_grad():
            torch._cudnn_rnn_flatten_weight(
                there, len(there) // directions, input_size, _LSTM, hidden_size, 0, 1, False, directions == 2
            )
    return copies
