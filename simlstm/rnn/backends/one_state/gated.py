"""The gated recurrence, GRU, as torch.nn.GRU has it. GRU.md derives the backward pass.

A row of the gate buffer is [4H]: r, z, what h brings to the candidate, and the candidate n. That puts the three blocks
of ``w_hh h`` side by side, so that a step needs one product in each direction.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from simlstm.rnn.precision import add_product_
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights


class GatedRecurrence:
    """The :class:`~simlstm.rnn.backends.one_state.recurrence.Recurrence` of GRU: gates r and z, candidate n."""

    def step(self, from_input: Tensor, h: Tensor, weights: DirectionWeights) -> Tensor:
        """Take one step, differentiably to any order."""
        r_from_x, z_from_x, n_from_x = from_input.chunk(3, 1)
        r_from_h, z_from_h, n_from_h = F.linear(h, weights.w_hh, weights.b_hh).chunk(3, 1)
        r, z = (r_from_x + r_from_h).sigmoid(), (z_from_x + z_from_h).sigmoid()
        n = (n_from_x + r * n_from_h).tanh()
        return n + z * (h - n)

    def gate_buffer(self, walk: PackedWalk, h_states: Tensor) -> Tensor:
        """Return a buffer of its own, [D, N, 4H]."""
        return h_states.new_empty(h_states.shape[0], walk.rows, 4 * h_states.shape[2])

    def bias(self, b_ih: Tensor, b_hh: Tensor) -> Tensor:
        """Return both biases where they meet, in r and z, and each alone where the reset gate stands between them."""
        size = b_ih.shape[0] // 3
        return torch.cat([b_ih[: 2 * size] + b_hh[: 2 * size], b_hh[2 * size :], b_ih[2 * size :]])

    def input_columns(self, gates: Tensor) -> tuple[Tensor, ...]:
        """Return r and z, and n, as views."""
        size = gates.shape[-1] // 4
        return gates[..., : 2 * size], gates[..., 3 * size :]

    def hidden_columns(self, gates: Tensor) -> Tensor:
        """Return r, z and what h brings to n, as a view."""
        return gates[..., : gates.shape[-1] // 4 * 3]

    def walk_forward(self, walk: PackedWalk, gates: Tensor, h_states: Tensor, w_hh: Sequence[Tensor]) -> None:
        """Step forward through a packed batch, activating the gates and filling the state buffer."""
        size = h_states.shape[2]
        r_and_z, n_from_h, n = gates.split_with_sizes([2 * size, size, size], 2)
        from_h = self.hidden_columns(gates)
        recurrent = [
            zip(walk.steps(from_h_d), walk.steps_before(h_d), [w.t()] * len(walk.batch_sizes), strict=True)
            for from_h_d, h_d, w in zip(from_h, h_states, w_hh, strict=True)
        ]
        pointwise = zip(
            walk.steps(r_and_z, 1),
            walk.steps(n_from_h, 1),
            walk.steps(n, 1),
            walk.steps_before(h_states, 1),
            walk.steps(h_states[:, walk.sequences :], 1),
            strict=True,
        )
        for r_and_z_t, n_from_h_t, n_t, h_before, h_t in pointwise:
            for direction in recurrent:
                from_h_t, h_d, w = next(direction)
                add_product_(from_h_t, h_d.to(w.dtype), w)
            r_t, z_t = r_and_z_t.sigmoid_().chunk(2, 2)
            n_t.addcmul_(r_t, n_from_h_t).tanh_()
            torch.lerp(n_t, h_before, z_t, out=h_t)

    def walk_backward(
        self, walk: PackedWalk, gates: Tensor, h_states: Tensor, dh_states: Tensor, w_hh: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Step backward through a packed batch, scaling the local derivatives by the gradient that arrives."""
        d_gates = _local_derivatives(walk, gates, h_states)
        operands = d_gates if d_gates.dtype == w_hh[0].dtype else torch.empty_like(d_gates, dtype=w_hh[0].dtype)
        from_h = self.hidden_columns(operands)
        by_column = (*gates.shape[:2], 4, h_states.shape[2])
        recurrent = [
            zip(
                reversed(walk.steps_before(dh_d)),
                reversed(walk.steps(from_h_d)),
                [w] * len(walk.batch_sizes),
                strict=True,
            )
            for dh_d, from_h_d, w in zip(dh_states, from_h, w_hh, strict=True)
        ]
        pointwise = zip(
            reversed(walk.steps(dh_states[:, walk.sequences :], 1)),
            reversed(walk.steps_before(dh_states, 1)),
            reversed(walk.steps(gates.chunk(4, 2)[1], 1)),
            reversed(walk.steps(d_gates.view(by_column), 1)),
            reversed(walk.steps(operands.view(by_column), 1)),
            strict=True,
        )
        for dh_t, dh_before, z_t, d_gates_t, operands_t in pointwise:
            d_gates_t.mul_(dh_t.unsqueeze(2))
            dh_before.addcmul_(dh_t, z_t)
            if operands is not d_gates:
                operands_t.copy_(d_gates_t)
            for direction in recurrent:
                add_product_(*next(direction))
        return d_gates, operands


def _local_derivatives(walk: PackedWalk, gates: Tensor, h_states: Tensor) -> Tensor:
    """Return, for all steps at once, the derivative of h toward each column of the gate buffer, [D, N, 4H]."""
    sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
    r, z, n_from_h, n = gates.chunk(4, 2)
    derivatives = torch.empty_like(gates)
    of_r, of_z, of_n_from_h, of_n = derivatives.chunk(4, 2)
    torch.ops.aten.tanh_backward.grad_input(1 - z, n, grad_input=of_n)
    torch.mul(of_n, r, out=of_n_from_h)
    sigmoid_backward(of_n * n_from_h, r, grad_input=of_r)
    sigmoid_backward(walk.before(h_states) - n, z, grad_input=of_z)
    return derivatives
