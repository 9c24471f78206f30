"""A frozen LSTM layer in torch operations: the truth for the native kernel, and what runs where there is none.

Nothing is differentiated, so nothing is kept: a step reads its gates from the folded table, updates the states in
place, and adds to the poolings. Reduced weights are held in float32, with the values that the reduced format has: what
is computed is what a kernel for that format computes, up to the order of additions, and is no faster than float32.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from simlstm.rnn.backends.buffers import to_output
from simlstm.rnn.backends.frozen_layer import Precision, RunResult
from simlstm.rnn.walk import PackedWalk

_INT8_STEPS = 127


class FrozenRecurrence:
    """A ``FrozenLayer`` in torch operations.

    Args:
        w_hh: for each direction float32 [4H, H], gates in torch's order; copied.
        precision: of the products with h.

    Attributes:
        hidden_size: H.
        directions: D.
        precision: as given.
    """

    def __init__(self, w_hh: Sequence[Tensor], precision: Precision) -> None:
        self.hidden_size: int = w_hh[0].shape[1]
        self.directions = len(w_hh)
        self.precision = precision
        weights = torch.stack([w.detach().to(torch.float32) for w in w_hh]).transpose(1, 2)  # [D, H, 4H]
        scales = weights.new_ones(())
        match precision:
            case "float32":
                pass
            case "bfloat16":
                weights = weights.bfloat16().float()
            case "int8":
                largest = weights.abs().amax(dim=1, keepdim=True)  # [D, 1, 4H]
                scales = torch.where(largest > 0, largest, 1.0) / _INT8_STEPS
                weights = (weights / scales).round()
        self._weights = weights.contiguous()
        self._scales = scales

    def fold(self, rows: Tensor, w_ih: Sequence[Tensor], bias: Sequence[Tensor]) -> Tensor:
        """See ``FrozenLayer.fold``; the table is [V, D * 4H], gates in torch's order."""
        table = torch.addmm(torch.cat(list(bias)), rows, torch.cat(list(w_ih)).t())
        return table if self.precision == "float32" else table.bfloat16()

    def run(
        self,
        table: Tensor,
        ids: Tensor | None,
        batch_sizes: Sequence[int],
        *,
        rows: bool,
        maximum: bool,
        total: bool,
        last: bool,
    ) -> RunResult:
        """See ``FrozenLayer.run``."""
        walk = PackedWalk(tuple(batch_sizes), table.device)
        directions, hidden_size = self.directions, self.hidden_size
        gate_rows = table.view(-1, 4 * hidden_size)  # row v * D + d is token v in direction d
        h, c = table.new_zeros(2, directions, walk.sequences, hidden_size, dtype=torch.float32)
        most = torch.full_like(h, -torch.inf) if maximum else None
        summed = torch.zeros_like(h) if total else None
        states = h.new_empty(directions, walk.rows, hidden_size) if rows else None

        start = 0
        for indices in self._gate_indices(ids, walk).split_with_sizes(list(walk.batch_sizes), dim=1):
            running = indices.shape[1]
            gates = gate_rows.index_select(0, indices.flatten()).float().view(directions, running, -1)
            h_t, c_t = h[:, :running], c[:, :running]
            self._step(gates, h_t, c_t)
            if most is not None:
                torch.maximum(most[:, :running], h_t, out=most[:, :running])
            if summed is not None:
                summed[:, :running] += h_t
            if states is not None:
                states[:, start : start + running] = h_t
            start += running

        return RunResult(
            rows=None if states is None else to_output(states, walk),
            maximum=None if most is None else _side_by_side(most),
            total=None if summed is None else _side_by_side(summed),
            last=_side_by_side(h) if last else None,
        )

    def _gate_indices(self, ids: Tensor | None, walk: PackedWalk) -> Tensor:
        """Return the row of [V * D, 4H] that each direction reads at each of its steps, int64 [D, N]."""
        forward = torch.arange(walk.rows, device=walk.device) if ids is None else ids.long()
        orders = [forward] if self.directions == 1 else [forward, forward[walk.reversal]]
        return torch.stack([order * self.directions + direction for direction, order in enumerate(orders)])

    def _step(self, gates: Tensor, h: Tensor, c: Tensor) -> None:
        """Take one step in place: gates [D, B, 4H] without the part of h; h and c [D, B, H]."""
        match self.precision:
            case "float32":
                gates.baddbmm_(h, self._weights)
            case "bfloat16":
                gates.baddbmm_(h.bfloat16().float(), self._weights)
            case "int8":
                products = torch.bmm((h * _INT8_STEPS).round_(), self._weights)
                gates.addcmul_(products, self._scales, value=1 / _INT8_STEPS)
        i, f, g, o = gates.chunk(4, dim=2)
        c.mul_(f.sigmoid_()).addcmul_(i.sigmoid_(), g.tanh_())
        torch.mul(o.sigmoid_(), c.tanh(), out=h)


def _side_by_side(states: Tensor) -> Tensor:
    """Turn [D, B, H] into [B, D * H]."""
    return states.transpose(0, 1).flatten(1)
