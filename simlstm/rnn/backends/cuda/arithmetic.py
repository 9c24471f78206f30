"""What the kernels compute in, chosen by the caller's dtypes and switches."""

from dataclasses import dataclass
from typing import Literal

import torch

from simlstm.rnn.backends.cuda.presence import is_interpreted

Precision = Literal["tf32", "ieee", "exact"]

SUPPORTED = (torch.bfloat16, torch.float16, torch.float32)


@dataclass(frozen=True)
class Arithmetic:
    """The dtypes and the precision of one call.

    Sums and cell states are float32 always.

    Attributes:
        products: dtype of h, of the recurrent weights, and of the gradients of the gates, as operands of products.
        precision: of a product: "ieee" leaves operands as they are (16 bits on tensor cores, float32 on ordinary
            units), "tf32" rounds float32 to 10 bits of mantissa for the tensor cores, "exact" is the interpreter's form
            of 16 bits.
        approximate: whether sigmoid and tanh are the hardware's, with relative errors of 2**-11.
        kept: dtype of the activated gates that the forward pass keeps. They lie in [-1, 1], where float16 is finer than
            bfloat16: 1 - i near i = 1 keeps three more bits.
    """

    products: torch.dtype
    precision: Precision
    approximate: bool
    kept: torch.dtype

    @classmethod
    def of(cls, products: torch.dtype) -> "Arithmetic":
        """Return the arithmetic of products in a dtype, one of ``SUPPORTED``.

        float32 is TF32 where torch.nn.LSTM would take it, too: by ``torch.backends.cudnn.allow_tf32`` (on unless
        switched off) or ``torch.backends.cudnn.rnn.fp32_precision``.
        """
        interpreted = is_interpreted()
        if products != torch.float32:
            return cls(products, "exact" if interpreted else "ieee", not interpreted, torch.float16)
        if not interpreted and torch.backends.cudnn.rnn.fp32_precision == "tf32":  # type: ignore[attr-defined]
            return cls(products, "tf32", True, torch.float32)
        return cls(products, "ieee", False, torch.float32)
