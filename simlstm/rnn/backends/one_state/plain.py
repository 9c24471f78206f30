"""The plain recurrence, RNN, with tanh or relu. GRU.md derives the backward pass.

A row of the gate buffer is [H], and is the row of the state buffer: the products flow into it, the nonlinearity turns
it into h. Going backward, the gradient of h turns into that of the nonlinearity's argument in the same way, in place.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from simlstm.rnn.precision import add_product_
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights

Nonlinearity = Literal["tanh", "relu"]


class PlainRecurrence:
    """The :class:`~simlstm.rnn.backends.one_state.recurrence.Recurrence` of RNN.

    Args:
        nonlinearity: "tanh" or "relu".
    """

    def __init__(self, nonlinearity: Nonlinearity) -> None:
        self._is_tanh = nonlinearity == "tanh"

    def step(self, from_input: Tensor, h: Tensor, weights: DirectionWeights) -> Tensor:
        """Take one step, differentiably to any order."""
        total = from_input + F.linear(h, weights.w_hh, weights.b_hh)
        return total.tanh() if self._is_tanh else total.relu()

    def gate_buffer(self, walk: PackedWalk, h_states: Tensor) -> Tensor:
        """Return the rows of the state buffer that are to be written, a view."""
        return h_states[:, walk.sequences :]

    def bias(self, b_ih: Tensor, b_hh: Tensor) -> Tensor:
        """Return the sum of both biases."""
        return b_ih + b_hh

    def input_columns(self, gates: Tensor) -> tuple[Tensor, ...]:
        """Return all columns."""
        return (gates,)

    def hidden_columns(self, gates: Tensor) -> Tensor:
        """Return all columns."""
        return gates

    def walk_forward(self, walk: PackedWalk, gates: Tensor, h_states: Tensor, w_hh: Sequence[Tensor]) -> None:
        """Step forward through a packed batch, turning each row of the gate buffer into h."""
        activate_ = torch.tanh_ if self._is_tanh else torch.relu_
        recurrent = [
            zip(walk.steps(gates_d), walk.steps_before(h_d), [w.t()] * len(walk.batch_sizes), strict=True)
            for gates_d, h_d, w in zip(gates, h_states, w_hh, strict=True)
        ]
        for gates_t in walk.steps(gates, 1):
            for direction in recurrent:
                total, h_before, w = next(direction)
                add_product_(total, h_before.to(w.dtype), w)
            activate_(gates_t)

    def walk_backward(
        self, walk: PackedWalk, gates: Tensor, h_states: Tensor, dh_states: Tensor, w_hh: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Step backward through a packed batch, turning the gradient of each h into that of its gate buffer row."""
        d_gates = dh_states[:, walk.sequences :]
        operands = d_gates if d_gates.dtype == w_hh[0].dtype else torch.empty_like(d_gates, dtype=w_hh[0].dtype)
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
            reversed(walk.steps(gates, 1)),
            reversed(walk.steps(d_gates, 1)),
            reversed(walk.steps(operands, 1)),
            strict=True,
        )
        for h_t, d_gates_t, operands_t in pointwise:
            self._times_derivative_(d_gates_t, h_t)
            if operands is not d_gates:
                operands_t.copy_(d_gates_t)
            for direction in recurrent:
                add_product_(*next(direction))
        return d_gates, operands

    def _times_derivative_(self, gradient: Tensor, h: Tensor) -> None:
        """Multiply a gradient in place by the nonlinearity's derivative where its value is h."""
        if self._is_tanh:
            torch.ops.aten.tanh_backward.grad_input(gradient, h, grad_input=gradient)
        else:
            torch.ops.aten.threshold_backward.grad_input(gradient, h, 0, grad_input=gradient)
