"""The learning-rate cycle at its corners."""

import math

import pytest

from simlstm.training.schedule import learning_rate_factor


def _factors(total, warmup, kind, final=0.0):
    return [
        learning_rate_factor(s, total_steps=total, warmup_fraction=warmup, kind=kind, final_fraction=final)
        for s in range(total)
    ]


@pytest.mark.parametrize("kind", ["cosine", "linear", "constant"])
def test_the_climb_is_linear_and_never_zero(kind):
    assert _factors(100, 0.1, kind)[:11] == pytest.approx([(s + 1) / 11 for s in range(11)])


def test_linear_decay_ends_at_the_final_fraction():
    factors = _factors(11, 0.0, "linear", final=0.2)
    assert factors == pytest.approx([1 - 0.08 * s for s in range(11)])


def test_cosine_decay():
    factors = _factors(21, 0.0, "cosine")
    assert factors == pytest.approx([(1 + math.cos(math.pi * s / 20)) / 2 for s in range(21)])
    assert factors[10] == pytest.approx(0.5)
    assert factors[-1] == pytest.approx(0.0, abs=1e-12)


def test_constant_stays_at_the_top():
    assert _factors(5, 0.0, "constant") == [1.0] * 5


@pytest.mark.parametrize("kind", ["cosine", "linear"])
@pytest.mark.parametrize("warmup", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("total", [1, 2, 3, 50])
def test_always_within_bounds_and_one_peak(kind, warmup, total):
    factors = _factors(total, warmup, kind)
    assert all(0 <= factor <= 1 for factor in factors)
    peak = factors.index(max(factors))
    assert factors[:peak] == sorted(factors[:peak])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
