"""Which backend computes a frozen layer."""

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor

from simlstm.rnn.backends import frozen_ops
from simlstm.rnn.backends.frozen_layer import FrozenLayer, Precision, RunResult
from simlstm.rnn.backends.native import frozen as native

__all__ = ["PRECISIONS", "Backend", "FrozenLayer", "Precision", "RunResult", "freeze_layer", "frozen_backend"]

Backend = Literal["native", "torch"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def freeze_layer(w_hh: Sequence[Tensor], precision: Precision, backend: Backend) -> FrozenLayer:
    """Pack the recurrent weights of one layer for a backend.

    Args:
        w_hh: for each direction float32 [4H, H] on the CPU, gates in torch's order; copied.
        precision: of the products with h.
        backend: as ``frozen_backend`` names it.

    Raises:
        ValueError: there is no such backend.
        RuntimeError: the native kernels were asked for and are not there.
    """
    match backend:
        case "native":
            return native.FrozenRecurrence(w_hh, precision)
        case "torch":
            return frozen_ops.FrozenRecurrence(w_hh, precision)
        case _:
            raise ValueError(f"backend must be native or torch, got {backend!r}")


def frozen_backend() -> Backend:
    """Return the fastest backend that is there."""
    return "native" if native.available() else "torch"
