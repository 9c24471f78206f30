"""One packed LSTM layer in torch operations: the truth for the other backends, and the fallback.

Inside, both directions step together. The rows of the reverse direction are put in the order in which it reads
them (:attr:`PackedWalk.reversal`), so that both directions have the same batch sizes and one batched product serves
both. Gates are held in the order o, i, f, g, torch's order turned by one: the three sigmoid gates are then adjacent,
and so are the three gates that the cell state feeds in the backward pass.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from simlstm.rnn.cell import advance
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights

Gradients = tuple[Tensor | None, ...]


def lstm_layer(
    x: Tensor, walk: PackedWalk, h0: Tensor, c0: Tensor, weights: Sequence[DirectionWeights]
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer over a packed batch; see :func:`simlstm.rnn.dispatch.lstm_layer`."""
    flat = [tensor for direction in weights for tensor in direction]
    result: tuple[Tensor, Tensor, Tensor] = _LayerFunction.apply(x, h0, c0, walk, *flat)
    return result


def differentiable_lstm_layer(
    x: Tensor, walk: PackedWalk, h0: Tensor, c0: Tensor, weights: Sequence[DirectionWeights]
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer in operations that autograd follows to any order."""
    outputs, final_h, final_c = [], [], []
    for direction, (w_ih, w_hh, b_ih, b_hh, w_hr) in enumerate(weights):
        rows = x if direction == 0 else x[walk.reversal]
        h_states, c_states = [h0[direction]], [c0[direction]]
        for from_input in F.linear(rows, w_ih, b_ih).split(walk.batch_sizes):
            running = from_input.shape[0]
            gates = from_input + F.linear(h_states[-1][:running], w_hh, b_hh)
            h, c = advance(gates, c_states[-1][:running])
            h_states.append(h if w_hr is None else F.linear(h, w_hr))
            c_states.append(c)
        states = torch.cat(h_states)
        y = states[walk.sequences :]
        outputs.append(y if direction == 0 else y[walk.reversal])
        final_h.append(states[walk.last])
        final_c.append(torch.cat(c_states)[walk.last])
    return torch.cat(outputs, dim=1), torch.stack(final_h), torch.stack(final_c)


class _LayerFunction(torch.autograd.Function):
    """The recurrence with the hand-written backward pass that README.md derives."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h0: Tensor, c0: Tensor, walk: PackedWalk, *flat: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        weights = _by_direction(flat)
        gates = _input_gates(x, walk, weights)
        h_states, c_states = _walk_forward(gates, walk, h0, c0, weights)
        ctx.walk = walk
        ctx.save_for_backward(x, h0, c0, *flat, gates, h_states, c_states)
        return (
            _to_output(h_states[:, walk.sequences :], walk),
            h_states.index_select(1, walk.last),
            c_states.index_select(1, walk.last),
        )

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, dhT: Tensor | None, dcT: Tensor | None) -> Gradients:  # type: ignore[override]
        *inputs, gates, h_states, c_states = ctx.saved_tensors
        walk: PackedWalk = ctx.walk
        if torch.is_grad_enabled():
            return _differentiable_backward(ctx, inputs, walk, (dy, dhT, dcT))
        x, _, _, *flat = inputs
        weights = _by_direction(flat)
        dh = _output_gradient(h_states, walk, dy, dhT)
        d_gates, dh0, dc0 = _walk_backward(dh, dcT, gates, c_states, walk, weights)
        need_x, need_h0, need_c0, _, *need_flat = ctx.needs_input_grad
        dx = _input_gradient(d_gates, walk, weights) if need_x else None
        d_flat: list[Tensor | None] = []
        for direction, needed in enumerate(_by_direction(need_flat)):
            d_flat += _weight_gradients(direction, x, dh, d_gates, gates, h_states, c_states, walk, needed)
        return dx, dh0 if need_h0 else None, dc0 if need_c0 else None, None, *d_flat


def _by_direction(flat: Sequence[Any]) -> list[DirectionWeights]:
    return [DirectionWeights(*flat[start : start + 5]) for start in range(0, len(flat), 5)]


def _turned(w: Tensor) -> Tensor:
    """Reorder i, f, g, o to o, i, f, g along the first dimension."""
    return w.roll(w.shape[0] // 4, 0)


def _turned_back(w: Tensor) -> Tensor:
    return w.roll(-(w.shape[0] // 4), 0)


def _input_gates(x: Tensor, walk: PackedWalk, weights: list[DirectionWeights]) -> Tensor:
    """Return what the input contributes to every gate of every step, [D, N, 4H], each direction in its own order."""
    gates = x.new_empty(len(weights), walk.rows, weights[0].w_ih.shape[0])
    for direction, (w_ih, _, b_ih, b_hh, _) in enumerate(weights):
        rows = x if direction == 0 else x.index_select(0, walk.reversal)
        w = _turned(w_ih).t()
        if b_ih is None or b_hh is None:
            torch.mm(rows, w, out=gates[direction])
        else:
            torch.addmm(_turned(b_ih + b_hh), rows, w, out=gates[direction])
    return gates


def _walk_forward(
    gates: Tensor, walk: PackedWalk, h0: Tensor, c0: Tensor, weights: list[DirectionWeights]
) -> tuple[Tensor, Tensor]:
    """Step through the batch, turning pre-activations into activated gates in place.

    Returns:
        tuple[Tensor, Tensor]: all states, [D, B + N, P] and [D, B + N, H], the initial states first.
    """
    sequences, hidden_size = walk.sequences, c0.shape[2]
    h_states = gates.new_empty(h0.shape[0], sequences + walk.rows, h0.shape[2])
    c_states = gates.new_empty(c0.shape[0], sequences + walk.rows, hidden_size)
    h_states[:, :sequences] = h0
    c_states[:, :sequences] = c0
    w_hh = torch.stack([_turned(direction.w_hh) for direction in weights]).transpose(1, 2)  # [D, P, 4H]
    w_hr = (
        torch.stack([w.w_hr for w in weights if w.w_hr is not None]).transpose(1, 2)
        if weights[0].w_hr is not None
        else None
    )
    blocks = (sequences, *walk.batch_sizes)
    h_steps, c_steps = h_states.split(blocks, 1), c_states.split(blocks, 1)
    sigmoid_steps = gates[..., : 3 * hidden_size].split(walk.batch_sizes, 1)
    tanh_steps = gates[..., 3 * hidden_size :].split(walk.batch_sizes, 1)
    for step, (running, gates_t) in enumerate(zip(walk.batch_sizes, gates.split(walk.batch_sizes, 1), strict=True)):
        h, c = h_steps[step + 1], c_steps[step + 1]
        gates_t.baddbmm_(h_steps[step].narrow(1, 0, running), w_hh)
        o, i, f = sigmoid_steps[step].sigmoid_().chunk(3, 2)
        g = tanh_steps[step].tanh_()
        torch.mul(f, c_steps[step].narrow(1, 0, running), out=c)
        c.addcmul_(i, g)
        if w_hr is None:
            torch.tanh(c, out=h)
            h.mul_(o)
        else:
            torch.bmm(o * c.tanh(), w_hr, out=h)
    return h_states, c_states


def _to_output(h: Tensor, walk: PackedWalk) -> Tensor:
    """Turn h [D, N, P], each direction in its own order, into y [N, D * P]."""
    if h.shape[0] == 1:
        return h[0].clone()
    return torch.cat([h[0], h[1].index_select(0, walk.reversal)], dim=1)


def _output_gradient(h_states: Tensor, walk: PackedWalk, dy: Tensor | None, dhT: Tensor | None) -> Tensor:
    """Return what reaches every h from outside the recurrence, [D, N, P], each direction in its own order."""
    directions, rows, width = h_states.shape[0], walk.rows, h_states.shape[2]
    if dy is None:
        dh = h_states.new_zeros(directions, rows, width)
    else:
        dh = h_states.new_empty(directions, rows, width)
        dh[0] = dy[:, :width]
        if directions == 2:
            dh[1] = dy[:, width:].index_select(0, walk.reversal)
    if dhT is not None:
        dh.index_add_(1, walk.last - walk.sequences, dhT)
    return dh


def _walk_backward(
    dh: Tensor, dcT: Tensor | None, gates: Tensor, c_states: Tensor, walk: PackedWalk, weights: list[DirectionWeights]
) -> tuple[Tensor, Tensor, Tensor]:
    """Step backward through the batch; dh grows in place to the whole gradient of every h.

    Returns:
        tuple[Tensor, Tensor, Tensor]: d_gates [D, N, 4H], of the pre-activations; dh0 [D, B, P]; dc0 [D, B, H].
    """
    sigmoid_backward, tanh_backward = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward
    o, i, f, g = gates.chunk(4, 2)
    tanh_c = c_states[:, walk.sequences :].tanh()
    d_gates = torch.empty_like(gates)
    d_o, d_i, d_f, d_g = d_gates.chunk(4, 2)
    sigmoid_backward.grad_input(tanh_c, o, grad_input=d_o)
    sigmoid_backward.grad_input(g, i, grad_input=d_i)
    sigmoid_backward.grad_input(c_states.index_select(1, walk.before), f, grad_input=d_f)
    tanh_backward.grad_input(i, g, grad_input=d_g)
    through_h = tanh_backward(o, tanh_c)

    w_hh = torch.stack([_turned(direction.w_hh) for direction in weights])  # [D, 4H, P]
    w_hr = torch.stack([w.w_hr for w in weights if w.w_hr is not None]) if weights[0].w_hr is not None else None
    dc = c_states.new_zeros(dh.shape[0], walk.sequences, c_states.shape[2]) if dcT is None else dcT.clone()
    dh0 = dh.new_zeros(dh.shape[0], walk.sequences, dh.shape[2])
    sizes = walk.batch_sizes
    dh_steps = (dh0, *dh.split(sizes, 1))
    steps = list(
        zip(
            d_gates.split(sizes, 1),
            d_o.split(sizes, 1),
            d_gates.unflatten(2, (4, -1))[:, :, 1:].split(sizes, 1),
            through_h.split(sizes, 1),
            f.split(sizes, 1),
            strict=True,
        )
    )
    for step in reversed(range(len(sizes))):
        running = sizes[step]
        d_gates_t, d_o_t, d_ifg_t, through_h_t, f_t = steps[step]
        dh_t = dh_steps[step + 1]
        dc_t = dc.narrow(1, 0, running)
        if w_hr is not None:
            dh_t = torch.bmm(dh_t, w_hr)
        dc_t.addcmul_(dh_t, through_h_t)
        d_o_t.mul_(dh_t)
        d_ifg_t.mul_(dc_t.unsqueeze(2))
        dc_t.mul_(f_t)
        dh_steps[step].narrow(1, 0, running).baddbmm_(d_gates_t, w_hh)
    return d_gates, dh0, dc


def _input_gradient(d_gates: Tensor, walk: PackedWalk, weights: list[DirectionWeights]) -> Tensor:
    dx = d_gates[0] @ _turned(weights[0].w_ih)
    if len(weights) == 2:
        dx.addmm_(d_gates[1].index_select(0, walk.reversal), _turned(weights[1].w_ih))
    return dx


def _weight_gradients(
    direction: int,
    x: Tensor,
    dh: Tensor,
    d_gates: Tensor,
    gates: Tensor,
    h_states: Tensor,
    c_states: Tensor,
    walk: PackedWalk,
    needed: DirectionWeights,
) -> list[Tensor | None]:
    """Sum the gradients of one direction's parameters over all rows: one product per matrix."""
    need_w_ih, need_w_hh, need_b_ih, need_b_hh, need_w_hr = needed
    d_gates = d_gates[direction]
    dw_ih = dw_hh = db = dw_hr = None
    if need_w_ih:
        rows = x if direction == 0 else x.index_select(0, walk.reversal)
        dw_ih = _turned_back(d_gates.t() @ rows)
    if need_w_hh:
        dw_hh = _turned_back(d_gates.t() @ h_states[direction].index_select(0, walk.before))
    if need_b_ih or need_b_hh:
        db = _turned_back(d_gates.sum(0))
    if need_w_hr:
        o = gates[direction, :, : c_states.shape[2]]
        dw_hr = dh[direction].t() @ (o * c_states[direction, walk.sequences :].tanh())
    return [dw_ih, dw_hh, db if need_b_ih else None, db if need_b_hh else None, dw_hr]


def _differentiable_backward(ctx: Any, inputs: list[Tensor | None], walk: PackedWalk, grads: Gradients) -> Gradients:
    """Differentiate the plain operations, so that the result can itself be differentiated."""
    x, h0, c0, *flat = inputs
    needs = [needed for position, needed in enumerate(ctx.needs_input_grad) if position != 3]
    wanted = [tensor for tensor, needed in zip(inputs, needs, strict=True) if needed]
    with torch.enable_grad():
        outputs = differentiable_lstm_layer(x, walk, h0, c0, _by_direction(flat))  # type: ignore[arg-type]
        reached = [(output, grad) for output, grad in zip(outputs, grads, strict=True) if grad is not None]
        gradients = iter(
            torch.autograd.grad(
                [output for output, _ in reached],
                wanted,  # type: ignore[arg-type]
                [grad for _, grad in reached],
                create_graph=True,
                allow_unused=True,
            )
        )
    dx, dh0, dc0, *d_flat = (next(gradients) if needed else None for needed in needs)
    return dx, dh0, dc0, None, *d_flat
