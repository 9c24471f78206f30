"""Regularisation inside the recurrence: variational dropout of h, and zoneout of h and c."""

from typing import NamedTuple

import torch
from torch import Tensor


class NoiseRates(NamedTuple):
    """What is switched on, each a probability in [0, 1].

    Attributes:
        recurrent_dropout: of zeroing an element of h on its way into the recurrent product, at every step of a
            sequence or at none (Gal and Ghahramani 2016, https://arxiv.org/abs/1512.05287, section 4).
        zoneout_h: of an element of h staying what it was, at each step anew (Krueger et al. 2017,
            https://arxiv.org/abs/1606.01305, section 3.2).
        zoneout_c: the same of c.
    """

    recurrent_dropout: float = 0.0
    zoneout_h: float = 0.0
    zoneout_c: float = 0.0

    def check(self) -> None:
        """Refuse what is not a probability.

        Raises:
            ValueError: a rate is not a number in [0, 1].
        """
        for name, rate in self._asdict().items():
            if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
                raise ValueError(f"{name} must be a number in [0, 1], got {rate!r}")


class LayerNoise(NamedTuple):
    """What the rates come to in one layer over one batch; None what is switched off.

    Attributes:
        h_scale: [D, B, P], sequences in packed order: the factor of h in the recurrent product, at every step.
        h_share: [D, N, P], rows in the order in which each direction reads them: how much of a step's h is new.
        c_share: [D, N, H], likewise of c.
    """

    h_scale: Tensor | None
    h_share: Tensor | None
    c_share: Tensor | None


QUIET = LayerNoise(None, None, None)


def draw(rates: NoiseRates, seed: Tensor | None, h0: Tensor, c0: Tensor, rows: int, dtype: torch.dtype) -> LayerNoise:
    """Draw the noise of one layer; without a seed, return what is expected of it, for evaluation.

    Args:
        rates: what is switched on.
        seed: [] int64, or None.
        h0: [D, B, P], for its shape and device.
        c0: [D, B, H], likewise.
        rows: N.
        dtype: of the noise.

    Returns:
        LayerNoise: random factors of mean 1, and shares of 0 or 1; or no factors, and shares between 0 and 1.
    """
    generator = None if seed is None else torch.Generator(h0.device).manual_seed(int(seed))
    directions, _, hidden_size = c0.shape

    def kept(rate: float, *shape: int) -> Tensor:
        """Return for each element whether it is kept, or with which probability."""
        if generator is None:
            return h0.new_tensor(1 - rate, dtype=dtype).expand(shape)
        return h0.new_empty(shape, dtype=dtype).bernoulli_(1 - rate, generator=generator)

    h_scale = None
    if generator is not None and rates.recurrent_dropout > 0:
        # When everything is dropped, 0 may be divided by anything.
        h_scale = kept(rates.recurrent_dropout, *h0.shape) / (1 - rates.recurrent_dropout or 1)
    return LayerNoise(
        h_scale,
        kept(rates.zoneout_h, directions, rows, h0.shape[2]) if rates.zoneout_h > 0 else None,
        kept(rates.zoneout_c, directions, rows, hidden_size) if rates.zoneout_c > 0 else None,
    )
