"""The parameters that one direction of one layer needs."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor


class DirectionWeights(NamedTuple):
    """The parameters of one direction of one layer, G gates in torch's order: i, f, g, o; of GRU r, z, n; of RNN one.

    Attributes:
        w_ih: [GH, I].
        w_hh: [GH, P], P = H without projection.
        b_ih: [GH] or None.
        b_hh: [GH] or None.
        w_hr: [P, H] or None: projects h, of LSTM alone.
    """

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None
    b_hh: Tensor | None
    w_hr: Tensor | None

    @classmethod
    def of(cls, parameters: Sequence[Tensor]) -> Self:
        """Name the parameters of one direction, listed in torch's order without those that are switched off."""
        w_ih, w_hh, *rest = parameters
        b_ih, b_hh = rest[:2] if len(rest) >= 2 else (None, None)
        return cls(w_ih, w_hh, b_ih, b_hh, rest[-1] if len(rest) % 2 == 1 else None)

    def to(self, dtype: torch.dtype) -> "DirectionWeights":
        """Return the same parameters in another dtype."""
        return DirectionWeights(
            self.w_ih.to(dtype),
            self.w_hh.to(dtype),
            None if self.b_ih is None else self.b_ih.to(dtype),
            None if self.b_hh is None else self.b_hh.to(dtype),
            None if self.w_hr is None else self.w_hr.to(dtype),
        )


def by_direction(flat: Sequence[Tensor | None], dtype: torch.dtype) -> list[DirectionWeights]:
    """Gather parameters that autograd hands over one by one, five for each direction, in the given dtype."""
    size = len(DirectionWeights._fields)
    return [
        DirectionWeights(*flat[start : start + size]).to(dtype)  # type: ignore[arg-type]
        for start in range(0, len(flat), size)
    ]
