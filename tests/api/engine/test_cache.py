"""The cache of vectors: least recently used first out, never above its bound."""

import numpy as np
import pytest

from api.engine.cache import VectorCache


def vector(value):
    return np.full(100, value, dtype=np.float32)


def test_the_least_recently_used_vector_leaves_first():
    cache = VectorCache(3 * 700)
    for name in (b"a", b"b", b"c"):
        cache.put(name, vector(1.0))
    assert cache.get(b"a") is not None
    cache.put(b"d", vector(2.0))
    assert [cache.get(name) is not None for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    assert (cache.hits, cache.misses) == (4, 1)


@pytest.mark.parametrize("bound", [0, 649, 650, 5000])
def test_it_never_holds_more_than_its_bound(bound):
    cache = VectorCache(bound)
    for number in range(50):
        cache.put(b"%02d" % number, vector(number))
        assert cache.bytes <= bound
    assert len(cache) == bound // 652  # 2 bytes of key, 400 of vector, 250 of bookkeeping
    cache.put(b"49", vector(0))
    assert bound < 652 or cache.get(b"49")[0] == 49
