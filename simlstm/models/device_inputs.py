"""What the host tells a device about a packed batch: token ids and layout, in one block of bytes, so in one copy."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_ALIGNMENT = 16  # bytes; where the kernels want a tensor to begin


class Size(NamedTuple):
    """The size of a packed batch.

    Attributes:
        sequences: B.
        steps: T.
        rows: N.
    """

    sequences: int
    steps: int
    rows: int

    def bucket(self) -> "Size":
        """Return the next size up of those that graphs are captured for: each number a power of two."""
        return Size(*(1 << (number - 1).bit_length() for number in self))


class Inputs(NamedTuple):
    """Views of a block.

    Attributes:
        offsets: int64 [T], the first row of each step.
        lengths: int32 [B], longest first; 0 for sequences that are not there.
        ids: [N], of the dtype that the block was cut for.
    """

    offsets: Tensor
    lengths: Tensor
    ids: Tensor


def block_bytes(size: Size, id_dtype: torch.dtype) -> tuple[int, int]:
    """Return how long a block is, and where in it the ids begin."""
    start = _aligned(8 * size.steps) + _aligned(4 * size.sequences)
    return start + _aligned(id_dtype.itemsize * size.rows), start


def cut(block: Tensor, size: Size, id_dtype: torch.dtype) -> Inputs:
    """View a block, uint8, as what it holds."""
    total, ids = block_bytes(size, id_dtype)
    lengths = _aligned(8 * size.steps)
    return Inputs(
        offsets=block[: 8 * size.steps].view(torch.int64),
        lengths=block[lengths : lengths + 4 * size.sequences].view(torch.int32),
        ids=block[ids:total].view(id_dtype)[: size.rows],
    )


def stage(batch_sizes: Tensor, ids: Tensor | None, size: Size, id_dtype: torch.dtype, *, pin: bool) -> Tensor:
    """Make a block on the host.

    Args:
        batch_sizes: int64 [T] on the CPU, positive, never growing.
        ids: Integers [N] on the CPU; None leaves their place as it is.
        size: Of the block, each number at least that of the batch. What is beyond the batch are sequences of length 0.
        id_dtype: Of the ids in the block.
        pin: Whether it is to be copied to a GPU while the host goes on; torch keeps it until that is done.
    """
    total, start = block_bytes(size, id_dtype)
    block = torch.empty(total, dtype=torch.uint8, device="cpu", pin_memory=pin)
    content = block.numpy()  # for a small batch, NumPy has written it all before torch has begun
    sizes = batch_sizes.numpy()
    steps, sequences = len(sizes), int(sizes[0])
    offsets = content[: 8 * size.steps].view(np.int64)
    np.subtract(sizes.cumsum(), sizes, out=offsets[:steps])
    offsets[steps:] = 0
    first = _aligned(8 * size.steps)
    lengths = content[first : first + 4 * size.sequences].view(np.int32)
    # Longest first: as many have T tokens as are in the last step, T - 1 as the step before has more, and so on.
    ending = sizes - np.append(sizes[1:], 0)
    lengths[:sequences] = np.repeat(np.arange(steps, 0, -1), ending[::-1])
    lengths[sequences:] = 0
    if ids is not None:
        content[start:].view(np.int64 if id_dtype == torch.int64 else np.int32)[: len(ids)] = ids.numpy()
    return block


def _aligned(count: int) -> int:
    return -(-count // _ALIGNMENT) * _ALIGNMENT
