"""Vectors for words that a file of vectors lacks, from the character n-grams of the words that it has."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

SHORTEST, LONGEST = 3, 6
_MOST_WORDS = 50_000
_LEAST_WORDS = 2  # an n-gram of one word alone would learn that word by heart
_RIDGE = 3e-2
_STEPS = 8


def vectors_from_ngrams(words: Sequence[str], matrix: Tensor, unknown: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Estimate vectors of unknown words as the mean of the vectors of their character n-grams.

    The n-grams are those of ``<word>`` from 3 to 6 characters, in lower case. Their vectors are those by which the mean
    over a word's n-grams comes nearest to the word's own vector, in least squares with a ridge: the bag of subwords of
    Zhao, Mudgal and Liang (2018, https://arxiv.org/abs/1809.04259), solved by conjugate gradients, so that the same
    vectors always give the same result. Of long files the first 50,000 words are fitted, as a rule the most frequent.

    Args:
        words: V words.
        matrix: [V, I], their vectors.
        unknown: U other words.

    Returns:
        [U, I] float32, and [U] bool: whether any n-gram of the word occurs in two fitted words or more. Where none
        does, the row is the mean of the fitted vectors.
    """
    words, matrix = words[:_MOST_WORDS], matrix[:_MOST_WORDS].float()
    grams = [_ngrams(word) for word in words]
    counts = Counter(gram for of_word in grams for gram in set(of_word))
    kept = [gram for gram, count in counts.items() if count >= _LEAST_WORDS]
    ids = {gram: number for number, gram in enumerate(kept)}
    mean = matrix.mean(0)
    bags = _Bags.of(unknown, ids)
    known = bags.sizes > 0
    if not ids:
        return mean.expand(len(unknown), -1).clone(), known
    vectors = _least_squares(_Bags.of_ngrams(grams, ids), matrix - mean, len(ids))
    return mean + bags.means(vectors), known


@dataclass(frozen=True)
class _Bags:
    """The n-grams of W words, E in all.

    Attributes:
        ids: [E] int64, word after word.
        offsets: [W] int64, where each word's begin.
        sizes: [W] int64, how many each has.
    """

    ids: Tensor
    offsets: Tensor
    sizes: Tensor

    @classmethod
    def of(cls, words: Sequence[str], ids: dict[str, int]) -> "_Bags":
        """Find the known n-grams of words."""
        return cls.of_ngrams([_ngrams(word) for word in words], ids)

    @classmethod
    def of_ngrams(cls, grams: Sequence[Sequence[str]], ids: dict[str, int]) -> "_Bags":
        """Number the known ones of each word's n-grams."""
        numbered = [[ids[gram] for gram in of_word if gram in ids] for of_word in grams]
        sizes = torch.tensor([len(of_word) for of_word in numbered], dtype=torch.int64)
        flat = torch.tensor([number for of_word in numbered for number in of_word], dtype=torch.int64)
        return cls(flat, sizes.cumsum(0) - sizes, sizes)

    def means(self, vectors: Tensor) -> Tensor:
        """Return the mean of each word's n-gram vectors, [W, I]; zeros where there is none."""
        return F.embedding_bag(self.ids, vectors, self.offsets, mode="mean")

    def transposed(self, count: int) -> "_Bags":
        """Return the words of each of ``count`` n-grams instead."""
        order = torch.argsort(self.ids, stable=True)
        words = torch.arange(len(self.sizes)).repeat_interleave(self.sizes)[order]
        sizes = torch.bincount(self.ids, minlength=count)
        return _Bags(words, sizes.cumsum(0) - sizes, sizes)


def _least_squares(bags: _Bags, targets: Tensor, count: int) -> Tensor:
    """Return the n-gram vectors [count, I] whose means over words come nearest to the targets [W, I].

    Conjugate gradients on the normal equations (A'A + ridge) x = A'b, all columns at once, each with steps of its own.
    """
    words_of = bags.transposed(count)
    share = (1 / bags.sizes.clamp(min=1).to(targets.dtype)).unsqueeze(1)  # [W, 1]

    def back(rows: Tensor) -> Tensor:
        return F.embedding_bag(words_of.ids, rows * share, words_of.offsets, mode="sum")

    solution = torch.zeros(count, targets.shape[1], dtype=targets.dtype)
    residual = back(targets)
    direction = residual.clone()
    length = residual.square().sum(0)
    for _ in range(_STEPS):
        image = back(bags.means(direction)) + _RIDGE * direction
        step = length / (direction * image).sum(0).clamp(min=torch.finfo(targets.dtype).tiny)
        solution += step * direction
        residual -= step * image
        before, length = length, residual.square().sum(0)
        direction = residual + length / before.clamp(min=torch.finfo(targets.dtype).tiny) * direction
    return solution


def _ngrams(word: str) -> list[str]:
    """Return the n-grams of a word between its marks."""
    marked = f"<{word.lower()}>"
    return [
        marked[start : start + size]
        for size in range(SHORTEST, min(LONGEST, len(marked)) + 1)
        for start in range(len(marked) - size + 1)
    ]
