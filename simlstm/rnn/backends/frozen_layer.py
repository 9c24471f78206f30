"""What every backend of a frozen layer offers: one LSTM layer whose weights no longer change."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from torch import Tensor

Precision = Literal["float32", "bfloat16", "int8"]


class RunResult(NamedTuple):
    """What a run was asked for, sequences in packed order, the forward direction in the first H columns.

    Attributes:
        rows: float32 [N, D * H], h at every token.
        maximum: float32 [B, D * H], its maximum over the tokens.
        total: float32 [B, D * H], its sum over the tokens.
        last: float32 [B, D * H], the final state of each direction.
    """

    rows: Tensor | None
    maximum: Tensor | None
    total: Tensor | None
    last: Tensor | None


class FrozenLayer(Protocol):
    """The recurrent weights of one layer, D directions, as one backend wants them; immutable.

    It is made from ``w_hh``, for each direction float32 [4H, H] with gates in torch's order, and a precision: that of
    the products with h. bfloat16: weights and h are rounded, sums are float32. int8: each output channel of the weights
    has its own symmetric scale, h the fixed step 1/127 (|h| < 1 always), sums are exact integers. The cell state is
    float32 always. A backend without a kernel for a precision refuses it with a ValueError.
    """

    def fold(self, rows: Tensor, w_ih: Sequence[Tensor], bias: Sequence[Tensor]) -> Tensor:
        """Compute what input rows add to the gates.

        Args:
            rows: float32 [V, I]: an embedding table, or the outputs of the layer below.
            w_ih: for each direction float32 [4H, I].
            bias: for each direction float32 [4H], b_ih + b_hh.

        Returns:
            The gate table [V, D * G], in an order that only ``run`` of the same backend knows: float32, or bfloat16
            when the precision is lower.
        """

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
        """Run the layer over a packed batch, from zero states.

        Args:
            table: [V, D * G], from ``fold``.
            ids: int32 or int64 [N], the row of the table for each packed row; None: row n of the table for row n.
            batch_sizes: T numbers that never grow.
            rows: whether h at every token is wanted.
            maximum: whether its maximum over the tokens is.
            total: whether its sum over the tokens is.
            last: whether the final states are.

        Returns:
            What was wanted; the rest is None.
        """
