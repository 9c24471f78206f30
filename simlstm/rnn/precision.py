"""Which dtype each part of the arithmetic runs in.

Matrix products, and h, which only they and the caller read, have the dtype that the caller chose: the tensors' own,
or autocast's. Gates and cell state never go below float32: rounding the cell state at every step adds up over a long
sequence, and the products are where the time goes.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def product_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype of the matrix products over x: autocast's when it is on (it leaves float64 alone), else x's."""
    device_type = x.device.type
    if x.dtype == torch.float64 or not _autocast_is_on(device_type):
        return x.dtype
    return torch.get_autocast_dtype(device_type)


def gate_dtype(products: torch.dtype) -> torch.dtype:
    """Return the dtype of gates and cell state beside products of the given dtype."""
    return torch.promote_types(products, torch.float32)


def in_dtype(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the tensor in a dtype; in a graph, where ``to`` leaves a node even if it does nothing, leave none."""
    return tensor if tensor.dtype == dtype else tensor.to(dtype)


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which torch leaves dtypes as they are, because ours are chosen."""
    return torch.autocast(device.type, enabled=False) if _autocast_is_on(device.type) else nullcontext()


def add_product_(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Add the matrix product of a and b to ``total`` in place; ``total`` may be more precise than the two.

    Args:
        total: [m, n], written.
        a: [m, k].
        b: [k, n], of a's dtype.
    """
    if total.dtype == a.dtype:
        total.addmm_(a, b)
    else:
        total.add_(a @ b)


def cast_like(gradients: Sequence[Tensor | None], tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Return each gradient in the dtype of the tensor that it belongs to."""
    return [
        None if gradient is None or tensor is None else gradient.to(tensor.dtype)
        for gradient, tensor in zip(gradients, tensors, strict=True)
    ]


def _autocast_is_on(device_type: str) -> bool:
    return torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type)
