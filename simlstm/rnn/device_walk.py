"""Where the rows of a batch stand, on the device that computes them: what a kernel reads instead of a loop's views."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DeviceWalk:
    """The layout of a batch as numbers that may be known to the device alone.

    Sequences are in an order in which lengths never grow. Row ``offsets[t] + places[b]`` is that of step t of sequence
    b; it exists while ``t < lengths[b]``. A packed batch has places 0, 1, 2, ...; a padded one, [T, B] or [B, T], those
    of its sequences in the caller's order, and gaps: rows that are nobody's.

    Attributes:
        offsets: int64 [T].
        places: int64 [B]; None for 0, 1, 2, ...
        lengths: int32 [B], from 0 to T.
        rows: N, with the gaps.
        has_gaps: whether there may be rows that are nobody's.
    """

    offsets: Tensor
    places: Tensor | None
    lengths: Tensor
    rows: int
    has_gaps: bool

    @property
    def sequences(self) -> int:
        """B, the number of sequences."""
        return self.lengths.shape[0]

    @property
    def steps(self) -> int:
        """T, the number of steps that no length exceeds."""
        return self.offsets.shape[0]

    @classmethod
    def of_padded(cls, lengths: Tensor, steps: int, *, batch_first: bool) -> tuple["DeviceWalk", Tensor]:
        """Lay out padded rows of given lengths without reading these on the host.

        Args:
            lengths: [B] integers on any device, in any order; what is beyond 0..T is taken for the nearest of them.
            steps: T.
            batch_first: whether the rows are those of [B, T, *] instead of [T, B, *].

        Returns:
            tuple: the walk; and int64 [B], the caller's place of each of its sequences.
        """
        sequences, device = lengths.shape[0], lengths.device
        ordered, order = lengths.clamp(0, steps).sort(descending=True, stable=True)
        stride_of_step, stride_of_sequence = (1, steps) if batch_first else (sequences, 1)
        walk = cls(
            offsets=torch.arange(steps, device=device) * stride_of_step,
            places=order * stride_of_sequence,
            lengths=ordered.to(torch.int32),
            rows=steps * sequences,
            has_gaps=True,
        )
        return walk, order

    def new_rows(self, like: Tensor, *shape: int, dtype: torch.dtype) -> Tensor:
        """Return [N, *shape] on the device of ``like`` for a kernel to write: zeros where it may leave gaps."""
        make = torch.zeros if self.has_gaps else torch.empty
        return make(self.rows, *shape, dtype=dtype, device=like.device)


def on_device(numbers: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Return tensors of the CPU on a device, for which the host does not wait.

    Raises:
        RuntimeError: a CUDA graph is being captured.
    """
    if device.type != "cuda":
        return [tensor.to(device) for tensor in numbers]
    if torch.cuda.is_current_stream_capturing():
        raise RuntimeError(
            "a CUDA graph cannot hold lengths that the host knows: they would stay those of the capture; "
            "give (x, lengths) with lengths on the GPU"
        )
    return [tensor.pin_memory().to(device, non_blocking=True) for tensor in numbers]
