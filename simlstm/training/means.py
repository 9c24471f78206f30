"""Means of what the steps between two log lines said."""

from collections.abc import Mapping

import torch
from torch import Tensor


class RunningMeans:
    """Sums that stay on the device until somebody asks: adding to them waits for nothing.

    Args:
        device: Of the values.

    Attributes:
        counts: How many values are in each sum, by name.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add scalars, each under its name."""
        for name, value in values.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value.double()
            self.counts[name] = self.counts.get(name, 0) + 1

    def sums(self) -> dict[str, float]:
        """Return the sums; NaN and infinity stay in them, so that one look tells of all values."""
        return {name: value.item() for name, value in self._sums.items()}

    def means(self) -> dict[str, float]:
        """Return the mean of each name; that of ``gradient_norm`` is over the steps without ``overflow``, if any."""
        sums = self.sums()
        counts = self.counts
        if "gradient_norm" in sums:
            counts = counts | {"gradient_norm": counts["gradient_norm"] - round(sums.get("overflow", 0))}
        return {name: value / counts[name] for name, value in sums.items() if counts[name] > 0}

    def clear(self) -> None:
        """Begin anew."""
        self._sums, self.counts = {}, {}

    def load(self, sums: Mapping[str, float], counts: Mapping[str, int]) -> None:
        """Go on from what `sums` and `counts` were."""
        # Filled where they lie: a copy from the host would wait for the device.
        self._sums = {
            name: torch.full((), value, dtype=torch.float64, device=self._device) for name, value in sums.items()
        }
        self.counts = dict(counts)
