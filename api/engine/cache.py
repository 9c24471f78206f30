"""Vectors of sentences computed before, bounded in bytes."""

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
_OVERHEAD = 250  # of a key, an array object and their places in the dictionary; seen with sys.getsizeof


class VectorCache:
    """Least recently used vectors leave first.

    It belongs to one set of weights and goes with the worker that loaded them, so the model's hash is part of every
    key without being stored in it.

    Args:
        max_bytes: of vectors, keys and bookkeeping together; 0 keeps nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._vectors: OrderedDict[bytes, Vector] = OrderedDict()
        self.bytes = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._vectors)

    def get(self, key: bytes) -> Vector | None:
        """Return the vector of a sentence, and count whether it was there."""
        vector = self._vectors.get(key)
        if vector is None:
            self.misses += 1
            return None
        self.hits += 1
        self._vectors.move_to_end(key)
        return vector

    def put(self, key: bytes, vector: Vector) -> None:
        """Keep a vector, which must own its memory, and let others go."""
        size = len(key) + vector.nbytes + _OVERHEAD
        if size > self._max_bytes or key in self._vectors:
            return
        self._vectors[key] = vector
        self.bytes += size
        while self.bytes > self._max_bytes:
            old_key, old_vector = self._vectors.popitem(last=False)
            self.bytes -= len(old_key) + old_vector.nbytes + _OVERHEAD
