"""The two loops over time, forward and backward, in torch operations.

D directions step together: one pointwise operation serves both, and each has a matrix product of its own, straight
from its parameters. Everything is written in place, into buffers that hold all steps; the views of each step are cut
before the loop.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from simlstm.rnn.precision import add_product_
from simlstm.rnn.walk import PackedWalk


def walk_forward(
    walk: PackedWalk,
    gates: Tensor,
    h_states: Tensor,
    c_states: Tensor,
    w_hh: Sequence[Tensor],
    w_hr: Sequence[Tensor] | None,
) -> None:
    """Step forward through a packed batch, filling the state buffers.

    Args:
        walk: the layout.
        gates: [D, N, 4H], what the input adds to each gate; becomes the activated gates.
        h_states: [D, B + N, P], of which the first B rows are given, in the dtype of the weights.
        c_states: [D, B + N, H], likewise.
        w_hh: for each direction [4H, P].
        w_hr: for each direction [P, H], or None: then P = H.
    """
    hidden_size = c_states.shape[2]
    i_and_f, g, o = gates.split_with_sizes([2 * hidden_size, hidden_size, hidden_size], 2)
    h, c = h_states[:, walk.sequences :], c_states[:, walk.sequences :]
    recurrent = [
        zip(walk.steps(gates_d), walk.steps_before(h_d), [w.t()] * len(walk.batch_sizes), strict=True)
        for gates_d, h_d, w in zip(gates, h_states, w_hh, strict=True)
    ]
    pointwise = zip(
        walk.steps(i_and_f, 1),
        walk.steps(g, 1),
        walk.steps(o, 1),
        walk.steps_before(c_states, 1),
        walk.steps(c, 1),
        walk.steps(h, 1),
        strict=True,
    )
    for i_and_f_t, g_t, o_t, c_before, c_t, h_t in pointwise:
        for direction in recurrent:
            add_product_(*next(direction))
        i_t, f_t = i_and_f_t.sigmoid_().chunk(2, 2)
        torch.mul(f_t, c_before, out=c_t)
        c_t.addcmul_(i_t, g_t.tanh_())
        o_t.sigmoid_()
        tanh_c = c_t.tanh()
        if w_hr is None:
            torch.mul(tanh_c, o_t, out=h_t)
        else:
            for h_d, unprojected, w in zip(h_t, tanh_c.mul_(o_t).to(h_t.dtype), w_hr, strict=True):
                torch.mm(unprojected, w.t(), out=h_d)


def walk_backward(
    walk: PackedWalk,
    gates: Tensor,
    c_states: Tensor,
    dh_states: Tensor,
    dc: Tensor,
    w_hh: Sequence[Tensor],
    w_hr: Sequence[Tensor] | None,
) -> tuple[Tensor, Tensor]:
    """Step backward through a packed batch.

    Args:
        walk: the layout.
        gates: [D, N, 4H], activated.
        c_states: [D, B + N, H].
        dh_states: [D, B + N, P], what reaches each h from outside the recurrence, nothing in the first B rows; grows
            to the whole gradient of each h, the first B rows to that of h0.
        dc: [D, B, H], what reaches cT; becomes the gradient of c0.
        w_hh: for each direction [4H, P].
        w_hr: for each direction [P, H], or None: then P = H.

    Returns:
        tuple[Tensor, Tensor]: the gradient of each gate's pre-activation, [D, N, 4H]; and the same in the dtype of the
        weights, which is the same tensor when the dtype is.
    """
    d_gates, through_h = _local_derivatives(walk, gates, c_states)
    operands = d_gates if d_gates.dtype == w_hh[0].dtype else torch.empty_like(d_gates, dtype=w_hh[0].dtype)
    d_ifg, d_o = d_gates.view(*d_gates.shape[:2], 4, dc.shape[2]).split_with_sizes([3, 1], 2)
    recurrent = [
        zip(
            reversed(walk.steps_before(dh_d)),
            reversed(walk.steps(operands_d)),
            [w] * len(walk.batch_sizes),
            strict=True,
        )
        for dh_d, operands_d, w in zip(dh_states, operands, w_hh, strict=True)
    ]
    pointwise = zip(
        reversed(walk.steps(dh_states[:, walk.sequences :], 1)),
        reversed(walk.steps(through_h, 1)),
        reversed(walk.steps(d_o.squeeze(2), 1)),
        reversed(walk.steps(d_ifg, 1)),
        reversed(walk.steps(gates.chunk(4, 2)[1], 1)),
        reversed(walk.steps(d_gates, 1)),
        reversed(walk.steps(operands, 1)),
        strict=True,
    )
    for dh_t, through_h_t, d_o_t, d_ifg_t, f_t, d_gates_t, operands_t in pointwise:
        dc_t = dc.narrow(1, 0, f_t.shape[1])
        if w_hr is not None:
            dh_t = torch.stack([dh_d.to(w.dtype) @ w for dh_d, w in zip(dh_t, w_hr, strict=True)]).to(dh_t.dtype)
        dc_t.addcmul_(dh_t, through_h_t)
        d_o_t.mul_(dh_t)
        d_ifg_t.mul_(dc_t.unsqueeze(2))
        dc_t.mul_(f_t)
        if operands is not d_gates:
            operands_t.copy_(d_gates_t)
        for direction in recurrent:
            add_product_(*next(direction))
    return d_gates, operands


def _local_derivatives(walk: PackedWalk, gates: Tensor, c_states: Tensor) -> tuple[Tensor, Tensor]:
    """Return, for all steps at once, what does not depend on the gradients that arrive.

    Returns:
        tuple[Tensor, Tensor]: for each gate its derivative toward c (of o: toward h), [D, N, 4H], and how c moves h,
        [D, N, H].
    """
    sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
    tanh_backward = torch.ops.aten.tanh_backward.grad_input
    i, f, g, o = gates.chunk(4, 2)
    derivatives = torch.empty_like(gates)
    of_i, of_f, of_g, of_o = derivatives.chunk(4, 2)
    through_h = c_states[:, walk.sequences :].tanh()
    sigmoid_backward(g, i, grad_input=of_i)
    sigmoid_backward(walk.before(c_states), f, grad_input=of_f)
    tanh_backward(i, g, grad_input=of_g)
    sigmoid_backward(through_h, o, grad_input=of_o)
    tanh_backward(o, through_h, grad_input=through_h)
    return derivatives, through_h
