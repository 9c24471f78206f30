"""A device that works while the host goes on: how its time, memory and graphs are had.

``HostAccelerator`` has the same face and works at once, on the CPU: with it, everything that is measured on a GPU can
be walked where there is none.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import torch


class Turn(NamedTuple):
    """Seconds of one call, the mean over the calls of a turn: of the device, and of the host."""

    device_s: float
    host_s: float


class Accelerator(Protocol):
    """What the measurements ask of a device."""

    device: torch.device
    cache_bytes: int

    def time(self, call: Callable[[int], object], first: int, calls: int, *, primed: bool = True) -> Turn:
        """Time ``call(first + 1)``, ``call(first + 2)``, …, ``calls`` of them, one queued behind the other.

        Args:
            call: Gets the running number.
            first: Number of an untimed call right before them, behind which they queue: without it, the device would
                be idle at the first, and the time that the host takes to launch it would count as the device's.
            calls: How many are timed.
            primed: Whether there is that untimed call.
        """

    def mark(self) -> Any:
        """Remember this place in the work of the device."""

    def seconds_between(self, first: Any, second: Any) -> float:
        """Return the device's seconds between two marks, when it has come past both."""

    def wait(self) -> None:
        """Wait until the device has nothing to do; raises what went wrong there."""

    def peak_bytes(self, call: Callable[[], object]) -> int | None:
        """Return the most memory that a call takes beyond what is taken already; None where nobody counts."""

    def record(self, call: Callable[[], object]) -> Callable[[], object]:
        """Capture what a call does on the device, and return what replays it; results stay where they were."""


class CudaAccelerator:
    """The current CUDA device.

    Raises:
        RuntimeError: when there is none.
    """

    def __init__(self) -> None:
        if not torch.cuda.is_available():
            raise RuntimeError("--device cuda: torch sees no CUDA device on this machine; --device cpu is allowed")
        self.device = torch.device("cuda", torch.cuda.current_device())
        self.cache_bytes: int = torch.cuda.get_device_properties(self.device).L2_cache_size

    def time(self, call: Callable[[int], object], first: int, calls: int, *, primed: bool = True) -> Turn:
        """Put an event in front of the calls and one behind them."""
        self.wait()
        if primed:
            call(first)
        began = time.perf_counter()
        start = self.mark()
        for number in range(first + 1, first + 1 + calls):
            call(number)
        end = self.mark()
        host = time.perf_counter() - began
        end.synchronize()
        return Turn(self.seconds_between(start, end) / calls, host / calls)

    def mark(self) -> torch.cuda.Event:
        """Record an event."""
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def seconds_between(self, first: torch.cuda.Event, second: torch.cuda.Event) -> float:
        """Ask the second event."""
        return 1e-3 * float(first.elapsed_time(second))

    def wait(self) -> None:
        """Synchronize."""
        torch.cuda.synchronize(self.device)

    def peak_bytes(self, call: Callable[[], object]) -> int | None:
        """Ask torch's allocator."""
        torch.cuda.synchronize(self.device)
        before = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        call()
        torch.cuda.synchronize(self.device)
        return torch.cuda.max_memory_allocated(self.device) - before

    def record(self, call: Callable[[], object]) -> Callable[[], object]:
        """Capture a CUDA graph, after three calls on a stream of their own that make what is made once."""
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            for _ in range(3):
                call()
        torch.cuda.current_stream(self.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        capturing: AbstractContextManager[None] = torch.cuda.graph(graph)
        with capturing:
            call()
        return graph.replay


class HostAccelerator:
    """The CPU, whose work is done when a call returns.

    Args:
        cache_bytes: What the inputs of all sets together should exceed.
        clock: Returns seconds.
    """

    def __init__(self, cache_bytes: int = 0, clock: Callable[[], float] = time.perf_counter) -> None:
        self.device = torch.device("cpu")
        self.cache_bytes = cache_bytes
        self.clock = clock

    def time(self, call: Callable[[int], object], first: int, calls: int, *, primed: bool = True) -> Turn:
        """Read the clock in front of the calls and behind them."""
        if primed:
            call(first)
        began = self.clock()
        for number in range(first + 1, first + 1 + calls):
            call(number)
        seconds = (self.clock() - began) / calls
        return Turn(seconds, seconds)

    def mark(self) -> float:
        """Read the clock."""
        return self.clock()

    def seconds_between(self, first: float, second: float) -> float:
        """Subtract."""
        return second - first

    def wait(self) -> None:
        """Return: nothing is under way."""

    def peak_bytes(self, call: Callable[[], object]) -> int | None:
        """Call, and say nothing: the CPU's allocator does not count."""
        call()
        return None

    def record(self, call: Callable[[], object]) -> Callable[[], object]:
        """Return the call itself."""
        return call
