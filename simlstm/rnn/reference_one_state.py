"""GRU and RNN, one sequence and one gate at a time: what every other version is held against.

Written to be read beside the formulas of GRU.md, and never optimised. Autograd follows it to any order.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from simlstm.rnn.weights import DirectionWeights

RunDirection = Callable[[Tensor, Tensor, DirectionWeights], tuple[Tensor, Tensor]]


def run_gru_direction(x: Tensor, h0: Tensor, weights: DirectionWeights) -> tuple[Tensor, Tensor]:
    """Read one sequence from its first row to its last.

    The formulas are those of torch.nn.GRU's documentation: version 1 of Cho et al. 2014
    (https://arxiv.org/abs/1406.1078v1), where the reset gate scales what h brings, its bias included.

    Args:
        x: [T, I], one sequence.
        h0: [H].
        weights: of this direction.

    Returns:
        tuple[Tensor, Tensor]: h after every step [T, H], and hT [H].
    """
    w_ir, w_iz, w_in = weights.w_ih.chunk(3)
    w_hr, w_hz, w_hn = weights.w_hh.chunk(3)
    b_ir, b_iz, b_in = _bias(weights.b_ih, weights).chunk(3)
    b_hr, b_hz, b_hn = _bias(weights.b_hh, weights).chunk(3)
    h = h0
    outputs = []
    for x_t in x:
        r = torch.sigmoid(w_ir @ x_t + b_ir + w_hr @ h + b_hr)
        z = torch.sigmoid(w_iz @ x_t + b_iz + w_hz @ h + b_hz)
        n = torch.tanh(w_in @ x_t + b_in + r * (w_hn @ h + b_hn))
        h = (1 - z) * n + z * h
        outputs.append(h)
    return torch.stack(outputs), h


def run_tanh_direction(x: Tensor, h0: Tensor, weights: DirectionWeights) -> tuple[Tensor, Tensor]:
    """Read one sequence from its first row to its last; as :func:`run_gru_direction`, for torch.nn.RNN with tanh."""
    return _run_plain_direction(x, h0, weights, torch.tanh)


def run_relu_direction(x: Tensor, h0: Tensor, weights: DirectionWeights) -> tuple[Tensor, Tensor]:
    """Read one sequence from its first row to its last; as :func:`run_gru_direction`, for torch.nn.RNN with relu."""
    return _run_plain_direction(x, h0, weights, torch.relu)


def run_sequence(
    x: Tensor,
    h0: Tensor,
    weights: Sequence[DirectionWeights],
    *,
    bidirectional: bool,
    run_direction: RunDirection,
) -> tuple[Tensor, Tensor]:
    """Run stacked layers, of one direction or two, over one sequence.

    Args:
        x: [T, I], one sequence.
        h0: [L * directions, H]: layer by layer, forward direction before reverse.
        weights: L * directions entries in the same order.
        bidirectional: whether each layer has a reverse direction, which reads the last row first.
        run_direction: the recurrence, one of the functions above.

    Returns:
        tuple[Tensor, Tensor]: the last layer's h at every row [T, directions * H], and hT as h0.
    """
    directions = 2 if bidirectional else 1
    final = []
    for first in range(0, len(weights), directions):
        outputs = []
        for index in range(first, first + directions):
            is_reverse = index > first
            y, h = run_direction(x.flip(0) if is_reverse else x, h0[index], weights[index])
            outputs.append(y.flip(0) if is_reverse else y)
            final.append(h)
        x = torch.cat(outputs, dim=1)
    return x, torch.stack(final)


def _run_plain_direction(
    x: Tensor, h0: Tensor, weights: DirectionWeights, nonlinearity: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    b_ih, b_hh = _bias(weights.b_ih, weights), _bias(weights.b_hh, weights)
    h = h0
    outputs = []
    for x_t in x:
        h = nonlinearity(weights.w_ih @ x_t + b_ih + weights.w_hh @ h + b_hh)
        outputs.append(h)
    return torch.stack(outputs), h


def _bias(given: Tensor | None, weights: DirectionWeights) -> Tensor:
    return weights.w_ih.new_zeros(weights.w_ih.shape[0]) if given is None else given
