"""CUDA graphs of a computation on static tensors: captured when a size comes again, replayed from then on."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

# Of the whole process: a capture that begins while another one runs may end both.
_capturing = threading.Lock()


class Captured(NamedTuple):
    """A computation that can be repeated.

    Attributes:
        replay: Starts it on the current stream, reading and writing the tensors that it was captured with.
        result: What each replay writes anew.
    """

    replay: Callable[[], object]
    result: Tensor


Capture = Callable[[Callable[[], Tensor]], Captured]


class CudaCapture:
    """Captures computations as CUDA graphs that share their memory, so that only one of them may run at a time.

    Memory is what the largest graph needs for its intermediate tensors, and what each needs for its result.

    Args:
        device: Where they run.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, body: Callable[[], Tensor]) -> Captured:
        """Run a computation once, so that everything it starts is compiled and loaded, then capture it.

        The device is synchronised. What else the process does on it meanwhile, in other threads, goes on.

        Raises:
            RuntimeError: It cannot be captured: it waits for the device, for one.
        """
        with _capturing, torch.cuda.device(self._device):
            stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.stream(stream):  # left again even where torch, after a failure, does not leave its own
                body()
                with torch.cuda.graph(graph, self._pool, stream, capture_error_mode="thread_local"):
                    result = body()
        return Captured(graph.replay, result)


@dataclass
class _Entry:
    inputs: Tensor
    captured: Captured | None = None
    is_new: bool = True


class Graphs:
    """Graphs of one computation, by the sizes of its inputs; the least recently used one is dropped for another.

    Inputs of a size are one static block of bytes. Whoever computes waits for whoever came before, threads on the host
    and streams on the device, because the block and the result are written by one at a time.

    The first time that a size comes, the computation runs as it is; it is captured the second time. When that fails,
    one line is logged, and from then on all sizes run as they are.

    Args:
        device: Where it all is.
        capture: Captures; None where nothing can be captured: then everything runs as it is.
        most: Sizes that are kept.
    """

    def __init__(self, device: torch.device, capture: Capture | None, most: int) -> None:
        self._device = device
        self._capture = capture
        self._most = most
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._lock = threading.Lock()
        self._stream: torch.cuda.Stream | None = None

    @property
    def sizes(self) -> list[Hashable]:
        """The sizes that are kept, the least recently used one first."""
        return list(self._entries)

    @property
    def captured(self) -> int:
        """The number of graphs there are."""
        return sum(entry.captured is not None for entry in self._entries.values())

    def run(
        self,
        size: Hashable,
        count: int,
        fill: Callable[[Tensor], None],
        body: Callable[[Tensor], Tensor],
        take: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Compute.

        Args:
            size: The size, and whatever else the computation follows from beside the values of its inputs.
            count: Bytes of the inputs of that size.
            fill: Writes this call's values into them, uint8 [count].
            body: Computes from them: starts the same work whatever the values, and never waits for the device.
            take: Turns its result into one that the next call does not overwrite.

        Returns:
            What ``take`` returned.
        """
        with self._lock:
            self._follow_stream()
            entry = self._entries.pop(size, None)
            if entry is None:
                self._make_room()
                entry = _Entry(torch.empty(count, dtype=torch.uint8, device=self._device))
            self._entries[size] = entry
            inputs = entry.inputs
            fill(inputs)
            if entry.captured is None and not entry.is_new and self._capture is not None:
                entry.captured = self._captured(self._capture, lambda: body(inputs))
            entry.is_new = False
            if entry.captured is None:
                return take(body(inputs))
            entry.captured.replay()
            return take(entry.captured.result)

    def _captured(self, capture: Capture, body: Callable[[], Tensor]) -> Captured | None:
        try:
            return capture(body)
        except RuntimeError as error:  # torch's own, also where memory is short
            self._capture = None
            # What ends a capture is often told by the error before the one that says that it has ended.
            cause = error.__context__ if isinstance(error.__context__, RuntimeError) else error
            logger.warning("no CUDA graphs from now on, because a capture failed: %s", str(cause).partition("\n")[0])
            return None

    def _make_room(self) -> None:
        while len(self._entries) >= self._most:
            _, dropped = self._entries.popitem(last=False)
            if self._stream is not None:  # which follows all others: the memory is free when it is done
                dropped.inputs.record_stream(self._stream)

    def _follow_stream(self) -> None:
        """Let this call's stream wait for what the call before has started in another one."""
        if self._device.type != "cuda":
            return
        stream = torch.cuda.current_stream(self._device)
        if self._stream is not None and self._stream != stream:
            stream.wait_stream(self._stream)
        self._stream = stream
