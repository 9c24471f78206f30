"""A layer over rows with gaps, for backends that know none: the rows are packed, and put back."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from simlstm.rnn.device_walk import DeviceWalk
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights

# Takes x, its walk, h0, c0, the weights and further arguments; returns y, hT and cT.
PackedLayer = Callable[..., tuple[Tensor, Tensor, Tensor]]


def lstm_layer(
    run: PackedLayer,
    x: Tensor,
    walk: DeviceWalk,
    h0: Tensor,
    c0: Tensor,
    weights: Sequence[DirectionWeights],
    *further: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer; see :func:`simlstm.rnn.dispatch.lstm_layer`. Reads the lengths: the host waits for the device.

    Args:
        run: the layer over packed rows.
        x: [N, I], with gaps.
        walk: the layout.
        h0: [D, B, P], in the walk's order.
        c0: [D, B, H].
        weights: D entries, forward direction first.
        further: what else ``run`` takes.

    Returns:
        tuple: y with zeros in rows that are nobody's; hT and cT, of sequences without a step their h0 and c0.
    """
    packed, places = pack(walk)
    running = packed.sequences
    initial = h0[:, :running], c0[:, :running]
    y, hT, cT = run(x.index_select(0, places), packed, *initial, weights, *further)
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
