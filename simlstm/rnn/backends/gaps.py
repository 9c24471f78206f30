"""A layer over rows with gaps, in operations that autograd follows: the rows are packed, and put back."""

from collections.abc import Sequence

import torch
from torch import Tensor

from simlstm.rnn.backends import differentiable
from simlstm.rnn.device_walk import DeviceWalk
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights


def lstm_layer(
    x: Tensor, walk: DeviceWalk, h0: Tensor, c0: Tensor, weights: Sequence[DirectionWeights]
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer; see :func:`simlstm.rnn.dispatch.lstm_layer`. Reads the lengths: the host waits for the device.

    Returns:
        tuple: y with zeros in rows that are nobody's; hT and cT, of sequences without a step their h0 and c0.
    """
    packed, places = pack(walk)
    running = packed.sequences
    initial = h0[:, :running], c0[:, :running]
    y, hT, cT = differentiable.lstm_layer(x.index_select(0, places), packed, *initial, weights)
    spread = y.new_zeros(walk.rows, y.shape[1]).index_copy(0, places, y)
    return spread, torch.cat([hT, h0[:, running:]], 1), torch.cat([cT, c0[:, running:]], 1)


def pack(walk: DeviceWalk) -> tuple[PackedWalk, Tensor]:
    """Return the walk over the rows that are somebody's, and where these stand, int64 in packed order.

    Sequences without a step, which come last, are left out; without any step, the walk is one step of no sequence.
    """
    device = walk.lengths.device
    lengths = walk.lengths.to("cpu", torch.int64)
    runs = torch.arange(walk.steps, device="cpu")[:, None] < lengths  # [T, B]: read row by row, the packed rows
    batch_sizes = tuple(size for size in runs.sum(1).tolist() if size > 0) or (0,)
    places = torch.arange(walk.sequences, device=device) if walk.places is None else walk.places
    rows = (walk.offsets[:, None] + places)[runs.to(device)]
    return PackedWalk(batch_sizes, device), rows
