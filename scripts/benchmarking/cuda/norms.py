"""What low precision may differ by from float64, and no figure for what differs by more."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.linalg import vector_norm

# Largest accepted ‖ours − right‖ / ‖right‖ of a tensor; right is float64 with the same rounded weights and inputs.
# bf16 keeps 8 bits, half a unit of which is 2e-3, and each of up to a hundred steps rounds h: on a CPU, this package's
# layer is off by 2 to 4e-3 in outputs and gradients, and torch's, which keeps the cell state in bf16, by 6e-3 and
# 1.5e-2 (two layers, 56 steps). float16 and TF32 keep 11 bits, an eighth of that, but the hardware's tanh is good to
# 5e-4. A layer without its recurrent product is off by more than 0.1.
OUTPUTS = {"bfloat16": 1e-2, "float16": 3e-3, "float32": 3e-3}
GRADIENTS = {"bfloat16": 2e-2, "float16": 6e-3, "float32": 6e-3}
# Peers may round their states as they like: their figure is kept as long as they compute the same thing.
PEER_FACTOR = 3.0
# One wrong sentence among thousands moves no norm of a tensor; a row of a tensor may be off by this many times as much,
# measured by the root mean square of all rows.
ROW_FACTOR = 10.0


class ParityError(RuntimeError):
    """A candidate computes something else."""


def relative_norm(name: str, ours: Tensor, right: Tensor, *, allowed: float) -> float:
    """Return the relative norm of the difference, or refuse to go on.

    Args:
        name: For the message.
        ours: Floating point [..., D], of any dtype and device.
        right: float64 of the same shape.
        allowed: Largest accepted; a row may be off by ``ROW_FACTOR`` times as much.

    Raises:
        ParityError: when it is larger, of the tensor or of a row, or not a number; or when the shapes differ.
    """
    if ours.shape != right.shape:
        raise ParityError(f"parity failed: {name}: shapes {list(ours.shape)} and {list(right.shape)}")
    difference = ours.detach().to(right.device, torch.float64) - right
    whole = float(vector_norm(difference) / vector_norm(right))
    if not whole <= allowed:  # NaN is not, either
        raise ParityError(f"parity failed: {name}: relative norm {whole:.1e} of the difference, allowed {allowed:.0e}")
    if right.dim() > 1:
        rows = vector_norm(difference, dim=-1)
        worst = float(rows.max() / vector_norm(right, dim=-1).square().mean().sqrt())
        if not worst <= ROW_FACTOR * allowed:
            raise ParityError(
                f"parity failed: {name}: one row is off by {worst:.1e}, allowed {ROW_FACTOR * allowed:.0e}"
            )
    return whole


def check_norms(name: str, ours: Mapping[str, Tensor], right: Mapping[str, Tensor], *, allowed: float) -> float:
    """Compare every tensor that a candidate shows with the right one of the same name; return the largest difference.

    Raises:
        ParityError: see ``relative_norm``.
    """
    return max(relative_norm(f"{name}, {key}", tensor, right[key], allowed=allowed) for key, tensor in ours.items())
