"""Encoders frozen on the CPU and on the GPU, and how far apart their vectors may be."""

import torch

from simlstm.models.frozen import FrozenEncoder
from tests.models.frozen_cases import build, sentences

# Full float32 adds up in another order. TF32 rounds operands to 2**-12, and bfloat16 to 2**-9, of which a sentence
# gathers a few, with sigmoid and tanh that are 2**-11 off.
TOLERANCE = {"float32": 5e-6, "tf32": 5e-3, "bfloat16": 2e-2}
IDS = sentences(40)


def pair(precision="bfloat16", **settings):
    """Return an encoder frozen on the CPU, in float32, and on the GPU."""
    encoder = build(**settings)
    return FrozenEncoder.from_encoder(encoder), FrozenEncoder.from_encoder(encoder.to("cuda"), precision=precision)


def assert_close(result, expected, tolerance):
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.cpu(), expected, rtol=0, atol=tolerance)
