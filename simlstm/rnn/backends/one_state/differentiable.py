"""A layer with one state that autograd follows to any order, for what hand-written backward passes cannot serve."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from simlstm.rnn.backends.buffers import in_reading_order
from simlstm.rnn.backends.one_state.recurrence import Recurrence
from simlstm.rnn.precision import gate_dtype, without_autocast
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights


def one_state_layer(
    recurrence: Recurrence, x: Tensor, walk: PackedWalk, h0: Tensor, weights: Sequence[DirectionWeights]
) -> tuple[Tensor, Tensor]:
    """Run one layer over a packed batch; see :func:`simlstm.rnn.dispatch.one_state_layer`. Never below float32."""
    dtype = gate_dtype(x.dtype)
    outputs, final = [], []
    with without_autocast(x.device):
        for direction, parameters in enumerate(weights):
            own = parameters.to(dtype)
            rows = in_reading_order(x, walk, direction).to(dtype)
            h_steps = [h0[direction].to(dtype)]
            for from_input in walk.steps(F.linear(rows, own.w_ih, own.b_ih)):
                h_steps.append(recurrence.step(from_input, h_steps[-1][: from_input.shape[0]], own))
            h_states = torch.cat(h_steps)
            outputs.append(in_reading_order(h_states[walk.sequences :], walk, direction))
            final.append(walk.last(h_states.unsqueeze(0)))
    return torch.cat(outputs, 1).to(h0.dtype), torch.cat(final).to(h0.dtype)
