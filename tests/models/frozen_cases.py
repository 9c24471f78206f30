"""What the tests of frozen encoders share: backends, encoders, and sentences of ragged lengths."""

import random

import pytest
import torch

from simlstm.models.config import ModelConfig
from simlstm.models.encoder import SentenceEncoder
from simlstm.rnn.frozen import PRECISIONS, frozen_backend

VOCABULARY = 50
BACKENDS = [
    "torch",
    pytest.param("native", marks=pytest.mark.skipif(frozen_backend() != "native", reason="the kernel is not built")),
]
# float32 rounds at 6e-8 of values up to 1, and folding, fusing and other kernels add up in other orders; seen: 1.2e-6.
TOLERANCE = {"float32": 5e-6, "bfloat16": 2e-2, "int8": 4e-2}
# bfloat16 keeps 8 bits and int8 has 127 steps: 4e-3 for each operation, of which a sentence gathers a few.
assert set(TOLERANCE) == set(PRECISIONS)


def build(**settings: object) -> SentenceEncoder:
    torch.manual_seed(0)
    sizes = {"vocabulary_size": VOCABULARY, "embedding_size": 13, "hidden_size": 9}
    return SentenceEncoder.from_config(ModelConfig(**{**sizes, **settings})).eval()


def sentences(count: int, *, longest: int = 20, seed: int = 0) -> list[list[int]]:
    """Draw sentences of all lengths, some twice, unsorted, with one of length 1."""
    generator = random.Random(seed)
    drawn = [generator.choices(range(VOCABULARY), k=generator.randint(1, longest)) for _ in range(count - 3)]
    return [*drawn, [7], drawn[0], drawn[1]]
