"""One packed LSTM layer in the native kernels, float32 on the CPU, forward and backward."""

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from simlstm.rnn.backends import differentiable
from simlstm.rnn.backends.native import prepacked
from simlstm.rnn.backends.native.library import Kernels, kernels
from simlstm.rnn.backends.native.memory import empty, is_plain, point_to_weights
from simlstm.rnn.backends.native.structures import BackwardCall, DirectionGradients, ForwardCall, Layout
from simlstm.rnn.plain_gradients import are_batched, are_operations_recorded, differentiable_gradients
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights, by_direction

# Weights of one direction among the arguments of the autograd.Function: w_ih, w_hh, b_ih, b_hh, w_hr.
_FIELDS = len(DirectionWeights._fields)


def can_run(x: Tensor, walk: PackedWalk, h0: Tensor, c0: Tensor, weights: Sequence[DirectionWeights]) -> bool:
    """Return whether the kernels serve this call: float32 on the CPU, no projection, every size as it must be.

    They take pointers and believe them. What does not fit is left to torch operations, which find the words for it.
    """
    if kernels() is None or weights[0].w_hr is not None or x.numel() == 0 or are_operations_recorded():
        return False
    hidden_size, input_size = weights[0].w_hh.shape[-1], x.shape[-1]
    state = (len(weights), walk.sequences, hidden_size)
    if not (is_plain(x, (walk.rows, input_size)) and is_plain(h0, state) and is_plain(c0, state)):
        return False
    if prepacked.find(weights, input_size) is not None:
        return True
    gates = 4 * hidden_size
    return all(
        is_plain(w_ih, (gates, input_size))
        and is_plain(w_hh, (gates, hidden_size))
        and (b_ih is None or is_plain(b_ih, (gates,)))
        and (b_hh is None or is_plain(b_hh, (gates,)))
        for w_ih, w_hh, b_ih, b_hh, _ in weights
    )


def lstm_layer(
    x: Tensor, walk: PackedWalk, h0: Tensor, c0: Tensor, weights: Sequence[DirectionWeights]
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer over a packed batch; see :func:`simlstm.rnn.dispatch.lstm_layer`.

    A sequence's values are the same to the last bit whatever it is batched with and whatever the number of threads.
    """
    chosen = kernels()
    assert chosen is not None  # noqa: S101 - can_run was asked
    if torch.is_grad_enabled():
        flat = [tensor for direction in weights for tensor in direction]
        y, hT, cT = _LayerFunction.apply(x, h0, c0, walk, chosen, *flat)  # type: ignore[no-untyped-call]
        return y, hT, cT
    return _forward(chosen, x, h0, c0, walk, weights, None, None)


class _LayerFunction(torch.autograd.Function):
    """One layer, with the hand-written backward pass that README.md derives."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h0: Tensor, c0: Tensor, walk: PackedWalk, chosen: Kernels, *flat: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.walk, ctx.kernels = walk, chosen
        weights = [DirectionWeights(*flat[start : start + _FIELDS]) for start in range(0, len(flat), _FIELDS)]  # type: ignore[arg-type]
        if not any(ctx.needs_input_grad):
            return _forward(chosen, x, h0, c0, walk, weights, None, None)
        directions, _, hidden_size = c0.shape
        padded = -(-hidden_size // chosen.lanes) * chosen.lanes
        gates = empty(directions, walk.rows, 4 * padded)
        cells = empty(directions, walk.rows, padded)
        ctx.save_for_backward(x, h0, c0, *flat, gates, cells)
        return _forward(chosen, x, h0, c0, walk, weights, gates, cells)

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, dhT: Tensor | None, dcT: Tensor | None) -> tuple[Tensor | None, ...]:
        *inputs, gates, cells = ctx.saved_tensors
        needed = [*ctx.needs_input_grad[:3], *ctx.needs_input_grad[5:]]
        if torch.is_grad_enabled() or are_batched((dy, dhT, dcT)):
            gradients = differentiable_gradients(
                lambda x, h0, c0, *flat: differentiable.lstm_layer(x, ctx.walk, h0, c0, by_direction(flat, x.dtype)),
                inputs,
                needed,
                (dy, dhT, dcT),
            )
        else:
            gradients = _backward(ctx.kernels, ctx.walk, inputs, needed, gates, cells, dy, dhT, dcT)
        dx, dh0, dc0, *d_flat = gradients
        return dx, dh0, dc0, None, None, *d_flat


def _forward(
    chosen: Kernels,
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    walk: PackedWalk,
    weights: Sequence[DirectionWeights],
    gates: Tensor | None,
    cells: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    directions, _, hidden_size = c0.shape
    x, h0, c0 = _rows(x), h0.contiguous(), c0.contiguous()
    y = empty(walk.rows, directions * hidden_size)
    hT, cT = empty(*h0.shape), empty(*c0.shape)
    call = ForwardCall(
        layout=_layout(walk, x, directions, hidden_size),
        x=x.data_ptr(),
        x_stride=x.stride(0),
        h0=h0.data_ptr(),
        c0=c0.data_ptr(),
        y=y.data_ptr(),
        hT=hT.data_ptr(),
        cT=cT.data_ptr(),
        gates=_pointer(gates),
        cells=_pointer(cells),
    )
    packed = prepacked.find(weights, x.shape[1])
    if packed is not None:
        call.packed = packed.memory.data_ptr()
        chosen.run("simlstm_forward", call)
    else:
        alive = point_to_weights(call.weights, weights)
        chosen.run("simlstm_forward", call)
        del alive
    return y, hT, cT


def _backward(
    chosen: Kernels,
    walk: PackedWalk,
    inputs: Sequence[Tensor],
    needed: Sequence[bool],
    gates: Tensor,
    cells: Tensor,
    dy: Tensor | None,
    dhT: Tensor | None,
    dcT: Tensor | None,
) -> list[Tensor | None]:
    x, h0, c0, *flat = inputs
    need_x, need_h0, need_c0, *need_flat = needed
    directions, _, hidden_size = c0.shape
    weights = [DirectionWeights(*flat[start : start + _FIELDS]) for start in range(0, len(flat), _FIELDS)]
    x, h0, c0 = _rows(x), h0.contiguous(), c0.contiguous()
    # Hooks on saved tensors, and whoever makes gradients, may give them in any form.
    gates, cells = (saved.to(torch.float32).contiguous() for saved in (gates, cells))
    dy, dhT, dcT = (None if g is None else g.resolve_neg().contiguous() for g in (dy, dhT, dcT))
    d_gates = empty(*gates.shape)
    dx = empty(*x.shape) if need_x else None
    dh0 = empty(*h0.shape) if need_h0 else None
    dc0 = empty(*c0.shape)
    call = BackwardCall(
        layout=_layout(walk, x, directions, hidden_size),
        x=x.data_ptr(),
        x_stride=x.stride(0),
        h0=h0.data_ptr(),
        c0=c0.data_ptr(),
        gates=gates.data_ptr(),
        cells=cells.data_ptr(),
        dy=_pointer(dy),
        dhT=_pointer(dhT),
        dcT=_pointer(dcT),
        d_gates=d_gates.data_ptr(),
        dx=_pointer(dx),
        dh0=_pointer(dh0),
        dc0=dc0.data_ptr(),
    )
    alive = point_to_weights(call.weights, weights)
    d_flat: list[Tensor | None] = []
    for direction, w in enumerate(weights):
        wanted = need_flat[_FIELDS * direction : _FIELDS * (direction + 1)]
        gradients = [
            None if tensor is None or not is_wanted else empty(*tensor.shape)
            for tensor, is_wanted in zip(w, wanted, strict=True)
        ]
        call.gradients[direction] = DirectionGradients(*map(_pointer, gradients[:4]))
        d_flat += gradients
    chosen.run("simlstm_backward", call)
    del alive
    return [dx, dh0, dc0 if need_c0 else None, *d_flat]


def _layout(walk: PackedWalk, x: Tensor, directions: int, hidden_size: int) -> Layout:
    return Layout(
        threads=torch.get_num_threads(),
        directions=directions,
        steps=len(walk.batch_sizes),
        rows=walk.rows,
        sequences=walk.sequences,
        input_size=x.shape[1],
        hidden_size=hidden_size,
        batch_sizes=(ctypes.c_int64 * len(walk.batch_sizes))(*walk.batch_sizes),
    )


def _rows(x: Tensor) -> Tensor:
    """Return x with the elements of a row side by side; rows may lie apart."""
    return x if x.stride(1) == 1 or x.shape[1] == 1 else x.contiguous()


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
