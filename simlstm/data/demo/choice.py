"""Seeded choice by `Random.random` alone: the one method whose sequence Python keeps the same in later versions."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

Item = TypeVar("Item")

_USUAL_WORD_SHARE = 0.6


def pick(rng: Random, items: Sequence[Item]) -> Item:
    """Return one of ``items``, each equally likely."""
    return items[int(rng.random() * len(items))]


def pick_word(rng: Random, words: Sequence[Item]) -> Item:
    """Return one of several words for the same, the first one about twice as often as all others together."""
    return words[0] if rng.random() < _USUAL_WORD_SHARE else pick(rng, words)


def chance(rng: Random, probability: float) -> bool:
    """Return True with this probability."""
    return rng.random() < probability
