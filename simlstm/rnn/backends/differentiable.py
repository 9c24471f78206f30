"""One packed LSTM layer that autograd follows to any order, for what the hand-written backward pass cannot serve."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from simlstm.rnn.cell import advance
from simlstm.rnn.noise import QUIET, LayerNoise
from simlstm.rnn.precision import gate_dtype, without_autocast
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights


def lstm_layer(
    x: Tensor, walk: PackedWalk, h0: Tensor, c0: Tensor, weights: Sequence[DirectionWeights]
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer over a packed batch; see :func:`simlstm.rnn.dispatch.lstm_layer`. Never below float32."""
    y, _, hT, cT = lstm_layer_with_cells(x, walk, h0, c0, weights)
    return y, hT, cT


def lstm_layer_with_cells(
    x: Tensor,
    walk: PackedWalk,
    h0: Tensor,
    c0: Tensor,
    weights: Sequence[DirectionWeights],
    noise: LayerNoise = QUIET,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run one layer over a packed batch and keep every cell state. Never below float32.

    Args:
        x: [N, I], packed rows.
        walk: the layout of the rows.
        h0: [D, B, P], initial states of D directions, sequences in packed order.
        c0: [D, B, H].
        weights: D entries, forward direction first.
        noise: what disturbs the recurrence.

    Returns:
        tuple[Tensor, Tensor, Tensor, Tensor]: y [N, D * P], the cell states [N, D * H], hT [D, B, P] and cT
        [D, B, H]; h in h0's dtype, c in c0's.
    """
    dtype = gate_dtype(x.dtype)
    outputs, cells, final_h, final_c = [], [], [], []
    with without_autocast(x.device):
        for direction, parameters in enumerate(weights):
            w_ih, w_hh, b_ih, b_hh, w_hr = parameters.to(dtype)
            rows = (x if direction == 0 else x.index_select(0, walk.reversal)).to(dtype)
            h_steps, c_steps = [h0[direction].to(dtype)], [c0[direction].to(dtype)]
            h_scale, h_share, c_share = (None if part is None else part[direction] for part in noise)
            h_shares, c_shares = (() if share is None else walk.steps(share) for share in (h_share, c_share))
            for step, from_input in enumerate(walk.steps(F.linear(rows, w_ih, b_ih))):
                running = from_input.shape[0]
                h_before, c_before = h_steps[-1][:running], c_steps[-1][:running]
                recurrent = h_before if h_scale is None else h_before * h_scale[:running]
                h, c = advance(from_input + F.linear(recurrent, w_hh, b_hh), c_before)
                if w_hr is not None:
                    h = F.linear(h, w_hr)
                # As in the paper, h comes from the c that would have been. At 0 and 1, lerp is exact.
                if h_shares:
                    h = torch.lerp(h_before, h, h_shares[step])
                if c_shares:
                    c = torch.lerp(c_before, c, c_shares[step])
                h_steps.append(h)
                c_steps.append(c)
            h_states, c_states = torch.cat(h_steps), torch.cat(c_steps)
            outputs.append(_in_order_of_input(h_states[walk.sequences :], walk, direction))
            cells.append(_in_order_of_input(c_states[walk.sequences :], walk, direction))
            final_h.append(walk.last(h_states.unsqueeze(0)))
            final_c.append(walk.last(c_states.unsqueeze(0)))
    h_dtype, c_dtype = h0.dtype, c0.dtype
    return (
        torch.cat(outputs, 1).to(h_dtype),
        torch.cat(cells, 1).to(c_dtype),
        torch.cat(final_h).to(h_dtype),
        torch.cat(final_c).to(c_dtype),
    )


def _in_order_of_input(rows: Tensor, walk: PackedWalk, direction: int) -> Tensor:
    return rows if direction == 0 else rows.index_select(0, walk.reversal)
