"""Synthetic batches with the lengths of short sentences."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

SINGLE_SENTENCES = 8
_DRAWS_EACH = 1000


def gamma_lengths(count: int, mean: float, generator: torch.Generator) -> Tensor:
    """Draw sentence lengths from a gamma distribution of shape 3, the spread of short questions and captions.

    Returns:
        [count] int64, each at least 1, longest first.
    """
    draws = -torch.rand(3, count, generator=generator).log().sum(0) * (mean / 3)
    return draws.round().clamp(min=1).long().sort(descending=True).values


def turn_lengths(batch: int, mean: float) -> list[Tensor]:
    """Return the lengths of each batch of one turn.

    One draw says nothing about single sentences, whose time follows their length: with batch 1, a turn is
    ``SINGLE_SENTENCES`` sentences one after the other, at the middles of as many equal parts of the distribution.

    Returns:
        Each [batch] int64, longest first.
    """
    generator = torch.Generator().manual_seed(batch)
    if batch > 1:
        return [gamma_lengths(batch, mean, generator)]
    draws = gamma_lengths(SINGLE_SENTENCES * _DRAWS_EACH, mean, generator)
    return list(draws.view(SINGLE_SENTENCES, _DRAWS_EACH)[:, _DRAWS_EACH // 2 : _DRAWS_EACH // 2 + 1])


def packed_vectors(lengths: Tensor, input_size: int, generator: torch.Generator) -> PackedSequence:
    """Make a packed batch of normal vectors [N, input_size] float32."""
    padded = torch.randn(int(lengths[0]), len(lengths), input_size, generator=generator)
    return pack_padded_sequence(padded, lengths)


def zipf_sentences(lengths: Sequence[int], vocabulary_size: int, generator: torch.Generator) -> list[list[int]]:
    """Draw token ids as text has them: the k-th most frequent token with a probability proportional to 1/k.

    Ids are shuffled, so that frequent tokens do not lie side by side in a table.
    """
    weights = 1.0 / torch.arange(1, vocabulary_size + 1, dtype=torch.float64)
    ranks = torch.multinomial(weights, sum(lengths), replacement=True, generator=generator)
    ids = torch.randperm(vocabulary_size, generator=generator)[ranks]
    return [part.tolist() for part in ids.split_with_sizes(list(lengths))]
