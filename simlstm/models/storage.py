"""Storage forms: weights on disk in fewer bits than they compute in.

Rounding is part of the model, not of the file: what is loaded from a form and stored in it again gives the same bytes.
For bfloat16 that is plain. For int8, a row has the scale s = max|x| / 127, rounded to bfloat16: eight bits, so that
q * s is exact in float32, and the range of float32, so that a small row is as good as a large one (float16 would lose
scales below 6e-5). Rounding s moves 127 by a quarter at most, so that the largest number of a row is 127 again.
"""

from collections.abc import Mapping
from typing import Final, Literal, get_args

import torch
from torch import Tensor

from simlstm.models.weights import WeightsError

Storage = Literal["float32", "bfloat16", "int8", "int8-all"]
STORAGES: Final[tuple[Storage, ...]] = get_args(Storage)

_TABLE = "encoder.embedding.weight"
_SCALE = ".scale"
# Below this, fewer bits save nothing: biases, the last layer of a head.
_SMALL = 4_096
_LARGEST = 127


def store(state: Mapping[str, Tensor], storage: Storage) -> dict[str, Tensor]:
    """Round weights to what a form holds.

    Vectors, and matrices of fewer than 4,096 numbers, stay float32 in every form. "bfloat16" has all other matrices in
    bfloat16; "int8" has the embedding table in int8 with a bfloat16 scale for each row, and the other matrices in
    bfloat16; "int8-all" has them in int8, too, with a scale for each row, which is one unit of one gate. Rounding is to
    nearest, ties to even, and symmetric: -127..127.

    Args:
        state: float32 weights by name, finite.
        storage: The form.

    Returns:
        Tensors by name; a tensor in int8, [rows, columns], has its scales [rows] beside it under ``<name>.scale``.

    Raises:
        ValueError: If the form is not known.
    """
    if storage not in STORAGES:
        raise ValueError(f"storage must be one of {', '.join(STORAGES)}, got {storage!r}")
    stored: dict[str, Tensor] = {}
    for name, tensor in state.items():
        dtype = _stored_dtype(name, tensor, storage)
        if dtype == torch.int8:
            stored[name], stored[name + _SCALE] = _quantized(tensor)
        else:
            stored[name] = tensor.to(dtype)
    return stored


def restore(stored: Mapping[str, Tensor], storage: Storage) -> dict[str, Tensor]:
    """Return the float32 weights that a form holds.

    Args:
        stored: What ``store`` made of them; tensors of a model that is not known here.
        storage: The form.

    Returns:
        float32 weights by name. Names and shapes are as they came: see ``check_weights``.

    Raises:
        WeightsError: If a tensor is not of the form's dtype, a scale is missing, has another shape, is negative or not
            finite, or an int8 value is -128; names the tensor.
    """
    state: dict[str, Tensor] = {}
    scales = {name + _SCALE for name, tensor in stored.items() if _stored_dtype(name, tensor, storage) == torch.int8}
    for name, tensor in stored.items():
        if name in scales:
            continue
        if name.endswith(_SCALE):
            state[name] = tensor  # of no row: no tensor of any model
            continue
        wanted = _stored_dtype(name, tensor, storage)
        if tensor.dtype != wanted:
            raise WeightsError(f"{name} is {tensor.dtype}, the configured model has {wanted} in storage {storage!r}")
        state[name] = tensor.float()
        if wanted == torch.int8:
            _check_quantized(name, tensor, stored.get(name + _SCALE))
            state[name] *= stored[name + _SCALE].float()[:, None]
    return state


def _stored_dtype(name: str, tensor: Tensor, storage: Storage) -> torch.dtype:
    """Say what a form stores a tensor in, from its name and shape alone."""
    is_table = name == _TABLE and tensor.dim() == 2
    is_large = tensor.dim() == 2 and tensor.numel() >= _SMALL
    if (storage == "int8" and is_table) or (storage == "int8-all" and (is_table or is_large)):
        return torch.int8
    return torch.bfloat16 if storage != "float32" and is_large else torch.float32


def _quantized(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Round rows of float32 [rows, columns] to int8 with a bfloat16 scale each, [rows]."""
    scales = (matrix.abs().amax(dim=1) / _LARGEST).to(torch.bfloat16)
    # A row of numbers below 1e-36 counts as zero: its scale would be a subnormal number, which rounds coarsely.
    scales = torch.where(scales.float() < torch.finfo(torch.float32).tiny, 0.0, scales).to(torch.bfloat16)
    divisors = torch.where(scales == 0, torch.inf, scales.float())
    return (matrix / divisors[:, None]).round().clamp(-_LARGEST, _LARGEST).to(torch.int8), scales


def _check_quantized(name: str, values: Tensor, scales: Tensor | None) -> None:
    """Refuse int8 rows that ``_quantized`` does not make."""
    if scales is None:
        raise WeightsError(f"not the tensors of the configured model: missing {name}{_SCALE}")
    if scales.dtype != torch.bfloat16 or scales.shape != values.shape[:1]:
        raise WeightsError(
            f"{name}{_SCALE} is {scales.dtype} {list(scales.shape)}, "
            f"rows in int8 have torch.bfloat16 {list(values.shape[:1])}"
        )
    if not torch.isfinite(scales).all() or (scales < 0).any():
        raise WeightsError(f"{name}{_SCALE} holds NaN, an infinity or a negative number; a scale is 0 or more")
    if (values < -_LARGEST).any():
        raise WeightsError(f"{name} holds -128; rows in int8 hold -127..127")
