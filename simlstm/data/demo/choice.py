"""Seeded choice by `Random.random` alone: the one method whose sequence Python keeps the same in later versions."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

Item = TypeVar("Item")


def pick(rng: Random, items: Sequence[Item]) -> Item:
    """Return one of ``items``, each equally likely."""
    return items[int(rng.random() * len(items))]


def chance(rng: Random, probability: float) -> bool:
    """Return True with this probability."""
    return rng.random() < probability
