"""Random inputs of one shape, as many as it takes not to measure a cache."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from scripts.benchmarking.batches import gamma_lengths
from scripts.benchmarking.cuda.accelerator import Accelerator
from scripts.benchmarking.layer_candidates import Batch

_MOST_SETS = 256


@dataclass(frozen=True)
class Lengths:
    """The lengths of one batch, drawn once for a shape: T and N are the same for all its inputs.

    Attributes:
        lengths: [B] int64 on the CPU, longest first.
        batch_sizes: [T] int64 on the CPU.
    """

    lengths: Tensor
    batch_sizes: Tensor

    @classmethod
    def drawn(cls, batch: int, mean_length: float) -> "Lengths":
        """Draw B gamma-distributed lengths."""
        lengths = gamma_lengths(batch, mean_length, torch.Generator().manual_seed(batch))
        ends = torch.bincount(lengths)[:-1].cumsum(0)  # [T]: sentences of at most t tokens
        return cls(lengths, batch - ends)

    @property
    def steps(self) -> int:
        """T."""
        return len(self.batch_sizes)

    @property
    def rows(self) -> int:
        """N."""
        return int(self.lengths.sum())


def input_sets(bytes_each: int, cache_bytes: int) -> int:
    """Return how many inputs take turns: together twice the cache, and no more than 256."""
    return min(max(math.ceil(2 * cache_bytes / bytes_each), 1), _MOST_SETS)


def random_batches(
    accelerator: Accelerator, drawn: Lengths, *, input_size: int, hidden_size: int, dtype: torch.dtype
) -> list[Batch]:
    """Make the input sets: normal vectors that ask for their gradients, and gradients of the output.

    Returns:
        Each on the device, with lengths on the CPU.
    """
    generator = torch.Generator(accelerator.device).manual_seed(drawn.rows)

    def normal(width: int) -> Tensor:
        values = torch.randn(drawn.rows, width, generator=generator, device=accelerator.device)
        return values.to(dtype)

    count = input_sets(drawn.rows * input_size * dtype.itemsize, accelerator.cache_bytes)
    return [
        Batch(
            PackedSequence(normal(input_size).requires_grad_(), drawn.batch_sizes),
            drawn.lengths,
            normal(2 * hidden_size),
        )
        for _ in range(count)
    ]


def in_dtype(batches: list[Batch], dtype: torch.dtype) -> list[Batch]:
    """Return the same batches in another dtype, with gradients of their own."""
    return [
        Batch(
            PackedSequence(batch.packed.data.detach().to(dtype, copy=True).requires_grad_(), batch.packed.batch_sizes),
            batch.lengths,
            batch.gradient.to(dtype),
        )
        for batch in batches
    ]
