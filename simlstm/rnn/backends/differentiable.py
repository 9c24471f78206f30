"""One packed LSTM layer that autograd follows to any order, for what the hand-written backward pass cannot serve."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from simlstm.rnn.backends.buffers import in_reading_order
from simlstm.rnn.cell import advance
from simlstm.rnn.precision import gate_dtype, without_autocast
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights


def lstm_layer(
    x: Tensor, walk: PackedWalk, h0: Tensor, c0: Tensor, weights: Sequence[DirectionWeights]
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer over a packed batch; see :func:`simlstm.rnn.dispatch.lstm_layer`. Never below float32."""
    dtype = gate_dtype(x.dtype)
    outputs, final_h, final_c = [], [], []
    with without_autocast(x.device):
        for direction, parameters in enumerate(weights):
            w_ih, w_hh, b_ih, b_hh, w_hr = parameters.to(dtype)
            rows = in_reading_order(x, walk, direction).to(dtype)
            h_steps, c_steps = [h0[direction].to(dtype)], [c0[direction].to(dtype)]
            for from_input in walk.steps(F.linear(rows, w_ih, b_ih)):
                running = from_input.shape[0]
                gates = from_input + F.linear(h_steps[-1][:running], w_hh, b_hh)
                h, c = advance(gates, c_steps[-1][:running])
                h_steps.append(h if w_hr is None else F.linear(h, w_hr))
                c_steps.append(c)
            h_states, c_states = torch.cat(h_steps), torch.cat(c_steps)
            y = h_states[walk.sequences :]
            outputs.append(in_reading_order(y, walk, direction))
            final_h.append(walk.last(h_states.unsqueeze(0)))
            final_c.append(walk.last(c_states.unsqueeze(0)))
    return torch.cat(outputs, 1).to(h0.dtype), torch.cat(final_h).to(h0.dtype), torch.cat(final_c).to(c0.dtype)
