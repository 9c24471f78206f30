"""A frozen LSTM layer in the CUDA kernels; the face is :class:`simlstm.rnn.backends.frozen_layer.FrozenLayer`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from simlstm.rnn.backends.cuda.arithmetic import Arithmetic
from simlstm.rnn.backends.cuda.launch import Recurrent, Wanted, forward, problem_of
from simlstm.rnn.backends.cuda.tuning import plan_for
from simlstm.rnn.backends.frozen_layer import Precision, RunResult
from simlstm.rnn.device_walk import DeviceWalk
from simlstm.rnn.walk import PackedWalk

_DTYPES: dict[Precision, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class FrozenRecurrence:
    """A ``FrozenLayer`` in the CUDA kernels: all steps and both directions in one launch, which pools, too.

    In float32 it multiplies as torch.nn.LSTM would at the time it is made: in TF32 where
    ``torch.backends.cudnn.rnn.fp32_precision`` has it so, which is torch's default, else in full float32.

    Args:
        w_hh: for each direction float32 [4H, H], gates in torch's order; copied, and computed with where they are.
        precision: of the products with h.

    Attributes:
        hidden_size: H.
        directions: D.
        precision: as given.
        products: dtype of the operands of the products, and of the table.

    Raises:
        ValueError: the precision is int8, of which there is no kernel here.
    """

    def __init__(self, w_hh: Sequence[Tensor], precision: Precision) -> None:
        if precision not in _DTYPES:
            raise ValueError(
                f"precision must be {' or '.join(_DTYPES)} in the cuda backend, which has no kernel for others, "
                f"got {precision!r}"
            )
        self.hidden_size: int = w_hh[0].shape[1]
        self.directions = len(w_hh)
        self.precision = precision
        self.products = _DTYPES[precision]
        self._arithmetic = Arithmetic.of(self.products)
        copies = torch.stack([w.detach() for w in w_hh]).to(self.products)  # [D, 4H, H]
        # Each a tensor of its own: a slice of the stack may stand where the kernels would have to copy it.
        self._recurrent = Recurrent([copy.clone() for copy in copies])

    def fold(self, rows: Tensor, w_ih: Sequence[Tensor], bias: Sequence[Tensor]) -> Tensor:
        """See ``FrozenLayer.fold``; the table is [V, D * 4H], gates in torch's order, rounded after the product."""
        return torch.addmm(torch.cat(list(bias)), rows, torch.cat(list(w_ih)).t()).to(self.products)

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
        """See ``FrozenLayer.run``; the host does not wait for the device."""
        walk = PackedWalk(tuple(batch_sizes), table.device).on_device
        row_dtype = torch.float32 if rows else None
        return self.run_walk(table, ids, walk, rows=row_dtype, maximum=maximum, total=total, last=last)

    def run_walk(
        self,
        table: Tensor,
        ids: Tensor | None,
        walk: DeviceWalk,
        *,
        rows: torch.dtype | None = None,
        maximum: bool = False,
        total: bool = False,
        last: bool = False,
    ) -> RunResult:
        """Run the layer over a batch whose layout only the device may know, from zero states.

        Args:
            table: [V, D * 4H], from ``fold``.
            ids: int32 or int64 [N], each in 0..V-1 where a sequence has a row: nothing checks them; or None.
            walk: sequences may have length 0. Their maximum is -inf, their total and their final state are 0.
            rows: the dtype in which h at every token is wanted; None: not at all. Rows that are nobody's are not
                written.
            maximum: whether its maximum over the tokens is.
            total: whether its sum over the tokens is.
            last: whether the final states are.
        """
        directions, sequences, hidden_size = self.directions, walk.sequences, self.hidden_size
        width, device = directions * hidden_size, table.device

        def pooled(*, is_wanted: bool) -> Tensor | None:
            return torch.empty(sequences, width, dtype=torch.float32, device=device) if is_wanted else None

        states = None
        if last:  # the kernels leave it as it is for sequences without a step
            states = torch.zeros(directions, sequences, hidden_size, dtype=torch.float32, device=device)
        wanted = Wanted(
            y=None if rows is None else torch.empty(walk.rows, width, dtype=rows, device=device),
            hT=states,
            maximum=pooled(is_wanted=maximum),
            total=pooled(is_wanted=total),
        )
        problem = problem_of(self._recurrent, sequences, self._arithmetic, backward=False, keeps=False)
        plan = plan_for(problem, device)
        forward(table, ids, walk, self._recurrent, None, self._arithmetic, plan, wanted)
        return RunResult(
            rows=wanted.y,
            maximum=wanted.maximum,
            total=wanted.total,
            last=None if states is None else states.transpose(0, 1).flatten(1),
        )
