"""The dtypes that are measured on a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


def peer_dtypes(dtype: str) -> list[str]:
    """Return the dtypes in which a peer takes part: its fastest is what ours is held against.

    In two bytes that is either: torch hands float16 to cuDNN, and bfloat16 perhaps not. float32 is TF32 for all.
    """
    return ["float32"] if dtype == "float32" else ["bfloat16", "float16"]


@contextmanager
def tf32() -> Iterator[None]:
    """Let float32 products round their operands to TF32, as cuDNN does from the start and torch's products do not."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
