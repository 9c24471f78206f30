"""The two rates that nothing on a device exceeds: a large matrix product's, and a large copy's."""

import statistics
from collections.abc import Callable, Sequence

import torch

from scripts.benchmarking.cuda.accelerator import Accelerator
from scripts.benchmarking.cuda.dtypes import DTYPES, tf32
from scripts.benchmarking.cuda.records import Ceilings

SIZE, COPY_BYTES = 8192, 2**31


class CeilingProbe:
    """Operands of a product in each dtype and a buffer to copy, made once and measured again at each shape.

    Args:
        accelerator: Where they lie.
        dtypes: Names; float32 is multiplied in TF32 where the device has it.
        size: Rows and columns of the product.
        copy_bytes: Of the buffer, far beyond the caches.
    """

    def __init__(
        self, accelerator: Accelerator, dtypes: Sequence[str], *, size: int = SIZE, copy_bytes: int = COPY_BYTES
    ) -> None:
        self._accelerator = accelerator
        self._size = size
        # Random: a product of zeros needs less power, and runs faster than any real one.
        self._operands = {
            name: torch.randn(2, size, size, device=accelerator.device).to(DTYPES[name]) for name in dtypes
        }
        self._products = {name: torch.empty_like(pair[0]) for name, pair in self._operands.items()}
        self._source = torch.randn(copy_bytes // 4, device=accelerator.device)
        self._target = torch.empty_like(self._source)

    def measure(self, *, repetitions: int = 5) -> Ceilings:
        """Measure both, the median of a few; the first products wake a device that was idle, and do not count."""
        return Ceilings(
            tflops={name: 2e-12 * self._size**3 / self._product_seconds(name, repetitions) for name in self._operands},
            gbytes=2e-9 * self._source.nbytes / self._median(lambda _: self._target.copy_(self._source), repetitions),
        )

    def _product_seconds(self, name: str, repetitions: int) -> float:
        a, b = self._operands[name]
        with tf32():
            return self._median(lambda _: torch.mm(a, b, out=self._products[name]), repetitions)

    def _median(self, call: Callable[[int], object], repetitions: int) -> float:
        self._accelerator.time(call, 0, repetitions)
        return statistics.median(self._accelerator.time(call, 0, 3).device_s for _ in range(repetitions))
