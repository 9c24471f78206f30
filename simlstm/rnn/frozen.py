"""Which backend computes a frozen layer."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from simlstm.rnn.backends import frozen_ops
from simlstm.rnn.backends.cuda import presence
from simlstm.rnn.backends.frozen_layer import FrozenLayer, Precision, RunResult
from simlstm.rnn.backends.native import frozen as native

__all__ = [
    "PRECISIONS",
    "Backend",
    "FrozenLayer",
    "Precision",
    "RunResult",
    "default_precision",
    "freeze_layer",
    "frozen_backend",
    "frozen_backend_on_cuda",
]

Backend = Literal["native", "torch", "cuda"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def freeze_layer(w_hh: Sequence[Tensor], precision: Precision, backend: Backend) -> FrozenLayer:
    """Pack the recurrent weights of one layer for a backend.

    Args:
        w_hh: for each direction float32 [4H, H], gates in torch's order, all on one device; copied. "native" takes them
            on the CPU, "cuda" on CUDA, and "torch" anywhere. (Under Triton's interpreter, "cuda" takes them on the CPU,
            too: that is how it is tested.)
        precision: of the products with h.
        backend: as ``frozen_backend`` and ``frozen_backend_on_cuda`` name it.

    Raises:
        ValueError: there is no such backend for the device of the weights, or it has no such precision.
        RuntimeError: the backend was asked for, and its kernels cannot run here.
    """
    device = w_hh[0].device
    on_cuda = device.type == "cuda"
    match backend:
        case "native" if not on_cuda:
            return native.FrozenRecurrence(w_hh, precision)
        case "torch":
            return frozen_ops.FrozenRecurrence(w_hh, precision)
        case "cuda" if on_cuda or presence.is_interpreted():
            reason = presence.obstacle()
            if reason is not None:
                raise RuntimeError(f"the kernels of the cuda backend cannot run here: {reason}")
            # Not before it is asked for: it needs triton, and the package needs torch alone.
            from simlstm.rnn.backends.cuda.frozen import FrozenRecurrence

            return FrozenRecurrence(w_hh, precision)
        case _:
            allowed = "cuda or torch" if on_cuda else "native or torch"
            raise ValueError(f"backend must be {allowed}, got {backend!r} for weights on {device}")


def frozen_backend() -> Backend:
    """Return the fastest backend that is there for weights on the CPU."""
    return "native" if native.available() else "torch"


def frozen_backend_on_cuda() -> Backend:
    """Return the fastest backend that is there for weights on CUDA."""
    return "cuda" if presence.obstacle() is None else "torch"


def default_precision(device: torch.device) -> Precision:
    """Return the precision to take where none is named: bfloat16 on CUDA, float32 elsewhere."""
    return "bfloat16" if device.type == "cuda" else "float32"
