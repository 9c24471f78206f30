"""Results on their way to the host, while the next ones are computed."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Arrival(NamedTuple):
    """A result that is there, or will be.

    Attributes:
        tensor: float32, on the CPU.
        copied: When it is there; None: it is there already.
    """

    tensor: Tensor
    copied: torch.cuda.Event | None

    def wait(self) -> NDArray[np.float32]:
        """Return the result when it is there, sharing the tensor's memory."""
        if self.copied is not None:
            self.copied.synchronize()
        array: NDArray[np.float32] = self.tensor.numpy()
        return array


class Arrivals:
    """Copies results to the host: from CUDA into pinned memory and in a stream of its own, which the host awaits later.

    What is computed after a result, in the stream that computed it, does not wait for its copy.
    """

    def __init__(self) -> None:
        self._streams: dict[torch.device, torch.cuda.Stream] = {}

    def of(self, result: Tensor) -> Arrival:
        """Start copying a result; it may be dropped at once, but not written into.

        Args:
            result: Of any floating dtype, on any device; on CUDA, computed in the current stream.
        """
        if not result.is_cuda:
            return Arrival(result.to("cpu", torch.float32), None)
        result, device = result.to(torch.float32), result.device
        stream = self._streams.get(device)
        if stream is None:
            stream = self._streams[device] = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(device))
        host = torch.empty(result.shape, dtype=torch.float32, device="cpu", pin_memory=True)
        with torch.cuda.stream(stream):
            host.copy_(result, non_blocking=True)
            copied = stream.record_event()
        result.record_stream(stream)  # its memory is given to nobody before the copy is done
        return Arrival(host, copied)
