"""The rate of a large matrix product on this machine: the ceiling that a layer made of matrix products lives under."""

import time
from collections.abc import Callable

import torch

SIZE = 2048


def measure_peaks(*, size: int = SIZE, repetitions: int = 4) -> dict[str, float]:
    """Measure a square matrix product in each dtype and library at hand, best of a few.

    float32 is measured twice, because torch has two libraries: ``torch.mm`` calls its BLAS library, while oneDNN is
    what ``torch.compile`` calls for linear layers and what torch calls for every bf16 product. On processors that are
    not Intel's the two can differ by a factor of two, and the ceiling is the higher one.

    Args:
        size: Rows and columns; at 2048, the operands of float32 are 16 MiB each.
        repetitions: Timed products of each; the fastest counts, because a ceiling is asked for.

    Returns:
        GFLOP/s by ``dtype (library)``.
    """
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(size, size, generator=generator) for _ in range(2))
    low_a, low_b = a.bfloat16(), b.bfloat16()
    built = torch.__config__.show()
    blas = "MKL" if "BLAS_INFO=mkl" in built else "BLAS"
    products: dict[str, Callable[[], object]] = {f"float32 ({blas})": lambda: torch.mm(a, b)}
    if "USE_MKLDNN=ON" in built:
        products["float32 (oneDNN)"] = lambda: onednn_product(a, b)
        products["bfloat16 (oneDNN)"] = lambda: torch.mm(low_a, low_b)
    else:
        products["bfloat16 (torch)"] = lambda: torch.mm(low_a, low_b)
    return {name: 2e-9 * size**3 / _fastest(product, repetitions) for name, product in products.items()}


def onednn_product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Multiply two float32 matrices by oneDNN, through the operator that ``torch.compile`` uses."""
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(a, b.T, None, "none", [], "")
    return product


def peak_of(peaks: dict[str, float], dtype: str) -> float:
    """Return the highest rate of a dtype over the libraries.

    Raises:
        KeyError: when that dtype was not measured.
    """
    rates = [rate for name, rate in peaks.items() if name.startswith(f"{dtype} (")]
    if not rates:
        raise KeyError(f"no peak of {dtype} among {sorted(peaks)}")
    return max(rates)


def highest(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    """Return the higher rate of each: measured before and after a shape, so that a lull in either is not the peak."""
    return {name: max(rate, second[name]) for name, rate in first.items()}


def _fastest(product: Callable[[], object], repetitions: int) -> float:
    product()
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        product()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
