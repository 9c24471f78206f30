"""One packed LSTM layer in torch's own operator, which on CUDA is cuDNN."""

import warnings
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from simlstm.rnn.backends import differentiable
from simlstm.rnn.plain_gradients import are_batched, differentiable_gradients
from simlstm.rnn.precision import cast_like, without_autocast
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights, by_direction


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
    y, hT, cT = _LayerFunction.apply(x, h0, c0, walk, products, *flat)  # type: ignore[no-untyped-call]
    return y, hT, cT


class _LayerFunction(torch.autograd.Function):
    """Torch's operator with a graph of its own inside."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h0: Tensor, c0: Tensor, walk: PackedWalk, products: torch.dtype, *flat: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.walk, ctx.products = walk, products
        ctx.save_for_backward(x, h0, c0, *flat)
        needed = [*ctx.needs_input_grad[:3], *ctx.needs_input_grad[5:]]
        leaves = [
            None if tensor is None else tensor.detach().requires_grad_(is_needed)
            for tensor, is_needed in zip((x, h0, c0, *flat), needed, strict=True)
        ]
        with torch.set_grad_enabled(any(needed)), without_autocast(x.device):
            results = _run(leaves, walk, products)
        ctx.inner = (leaves, results)
        y, hT, cT = (result.detach() for result in results)
        return y.to(h0.dtype), hT.to(h0.dtype), cT.to(c0.dtype)

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, dhT: Tensor | None, dcT: Tensor | None) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        needed = [*ctx.needs_input_grad[:3], *ctx.needs_input_grad[5:]]
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
        return dx, dh0, dc0, None, None, *d_flat


def _run(inputs: Sequence[Tensor | None], walk: PackedWalk, products: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    x, h0, c0, *flat = (cast("Tensor", None if tensor is None else tensor.to(products)) for tensor in inputs)
    weights = [tensor for tensor in flat if tensor is not None]
    directions = len(flat) // len(DirectionWeights._fields)
    has_biases = len(weights) == 4 * directions
    batch_sizes = torch.tensor(walk.batch_sizes, device="cpu")
    with warnings.catch_warnings():
        # It would like the weights side by side in memory, as torch.nn.LSTM keeps them, and copies them otherwise.
        warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk")
        y, hT, cT = torch._VF.lstm(
            x,
            batch_sizes,
            (h0, c0),
            weights,
            has_biases,
            1,
            0.0,
            torch.is_grad_enabled(),
            directions == 2,
        )
    return y, hT, cT
