"""The parameters that one direction of one layer needs."""

from typing import NamedTuple

from torch import Tensor


class DirectionWeights(NamedTuple):
    """The parameters of one direction of one layer, gates in torch's order i, f, g, o.

    Attributes:
        w_ih: [4H, I].
        w_hh: [4H, P], P = H without projection.
        b_ih: [4H] or None.
        b_hh: [4H] or None.
        w_hr: [P, H] or None: projects h.
    """

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None
    b_hh: Tensor | None
    w_hr: Tensor | None
