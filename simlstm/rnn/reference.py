"""The LSTM recurrence, one sequence and one gate at a time: what every other version is held against.

Written to be read beside the formulas of README.md, and never optimised. Autograd follows it to any order.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from simlstm.rnn.weights import DirectionWeights


def run_direction(x: Tensor, h0: Tensor, c0: Tensor, weights: DirectionWeights) -> tuple[Tensor, Tensor, Tensor]:
    """Read one sequence from its first row to its last.

    The formulas are those of torch.nn.LSTM's documentation; the projection is Sak et al. 2014, section 2.

    Args:
        x: [T, I], one sequence.
        h0: [P], P = H without projection.
        c0: [H].
        weights: of this direction.

    Returns:
        tuple[Tensor, Tensor, Tensor]: h after every step [T, P], hT [P], cT [H].
    """
    w_ii, w_if, w_ig, w_io = weights.w_ih.chunk(4)
    w_hi, w_hf, w_hg, w_ho = weights.w_hh.chunk(4)
    b_i, b_f, b_g, b_o = _summed_bias(weights).chunk(4)
    h, c = h0, c0
    outputs = []
    for x_t in x:
        i = torch.sigmoid(w_ii @ x_t + w_hi @ h + b_i)
        f = torch.sigmoid(w_if @ x_t + w_hf @ h + b_f)
        g = torch.tanh(w_ig @ x_t + w_hg @ h + b_g)
        o = torch.sigmoid(w_io @ x_t + w_ho @ h + b_o)
        c = f * c + i * g
        h = o * torch.tanh(c)
        if weights.w_hr is not None:
            h = weights.w_hr @ h
        outputs.append(h)
    return torch.stack(outputs), h, c


def run_sequence(
    x: Tensor, h0: Tensor, c0: Tensor, weights: Sequence[DirectionWeights], *, bidirectional: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Run stacked layers, of one direction or two, over one sequence.

    Args:
        x: [T, I], one sequence.
        h0: [L * directions, P]: layer by layer, forward direction before reverse.
        c0: [L * directions, H].
        weights: L * directions entries in the same order.
        bidirectional: whether each layer has a reverse direction, which reads the last row first.

    Returns:
        tuple[Tensor, Tensor, Tensor]: the last layer's h at every row [T, directions * P], hT and cT as h0 and c0.
    """
    directions = 2 if bidirectional else 1
    final_h, final_c = [], []
    for first in range(0, len(weights), directions):
        outputs = []
        for index in range(first, first + directions):
            is_reverse = index > first
            rows = x.flip(0) if is_reverse else x
            y, h, c = run_direction(rows, h0[index], c0[index], weights[index])
            outputs.append(y.flip(0) if is_reverse else y)
            final_h.append(h)
            final_c.append(c)
        x = torch.cat(outputs, dim=1)
    return x, torch.stack(final_h), torch.stack(final_c)


def _summed_bias(weights: DirectionWeights) -> Tensor:
    if weights.b_ih is None or weights.b_hh is None:
        return weights.w_ih.new_zeros(weights.w_ih.shape[0])
    return weights.b_ih + weights.b_hh
