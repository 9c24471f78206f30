"""The arithmetic that a model is measured in."""

import contextlib
from enum import StrEnum

import torch


class Precision(StrEnum):
    """Arithmetic of the encoder's matrix products; the weights stay as they are."""

    float32 = "float32"
    bfloat16 = "bfloat16"


def arithmetic(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager[object]:
    """Return the context in which a model on a device computes with a precision."""
    if precision is Precision.bfloat16:
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()
