"""Any number of tokenized texts through an encoder: nothing twice, and in batches of like length."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, chain
from operator import index

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from simlstm.data.batching import pack
from simlstm.models.arrivals import Arrival, Arrivals

# A batch may be small in texts and still large: what is kept for each token bounds the memory.
_TOKENS_AT_ONCE = 65_536
# Batches that a GPU may have before it while the host prepares the next one and puts earlier results into place.
_AWAITED = 2


def encode_batches(
    encode: Callable[[PackedSequence], Tensor],
    token_ids: Sequence[Sequence[int]],
    *,
    vocabulary_size: int,
    output_size: int,
    batch_size: int,
) -> Tensor:
    """Encode texts, equal ones once, in batches of like length.

    Which texts share a batch follows from the set of texts alone, not from their order. Beside the texts and the
    result, memory holds the ids of every distinct text once more (8 bytes each, and a tuple for each text; while they
    are checked, 8 bytes more), and what is computed for one batch: at most ``batch_size`` texts, and 65,536 tokens
    unless one text alone has more.

    What is computed on CUDA is awaited late: while the host prepares a batch, the one before is computed, and the
    vectors of that before it are copied into pinned memory. So three of them are there at once.

    Args:
        encode: From packed int64 ids of B texts on the CPU, without a permutation, to their embeddings [B, D] on any
            device, which it does not write into again.
        token_ids: Ids of each text; at least one id each, an integer of any type (with ``__index__``).
        vocabulary_size: Number of ids, from 0.
        output_size: Width D of an embedding.
        batch_size: Most texts that are computed at once.

    Returns:
        float32 [n, D] on the CPU, in the order of the texts.

    Raises:
        ValueError: If a text has no id, or one that is no integer or outside of the vocabulary; or if batch_size is no
            positive integer.
    """
    if not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ValueError(f"batch_size must be an integer, at least 1, got {batch_size!r}")
    first_places: dict[tuple[int, ...], int] = {}
    sources: list[int] = []
    try:
        for ids in token_ids:
            sources.append(first_places.setdefault(tuple(map(index, ids)), len(sources)))
    except TypeError:  # a fraction or a string, which NumPy would have made a number of
        raise _refusal(token_ids[len(sources)], len(sources), vocabulary_size) from None
    distinct = sorted(first_places)
    distinct.sort(key=len, reverse=True)
    _check_ids(distinct, vocabulary_size, first_places)
    embeddings = torch.empty(len(sources), output_size, dtype=torch.float32, device="cpu")
    rows = embeddings.numpy()  # NumPy copies in this thread; torch would wait for all of its own
    arrivals = Arrivals()
    awaited: deque[tuple[list[tuple[int, ...]], Arrival]] = deque()

    def settle(most_awaited: int) -> None:
        while awaited and (len(awaited) > most_awaited or awaited[0][1].copied is None):
            batch, arrival = awaited.popleft()
            rows[[first_places[ids] for ids in batch]] = arrival.wait()

    for batch in _batches(distinct, batch_size):
        data, batch_sizes, *_ = pack(batch)  # longest first already: no permutation is left
        awaited.append((batch, arrivals.of(encode(PackedSequence(data, batch_sizes)))))
        settle(_AWAITED)
    settle(0)
    if len(distinct) < len(sources):
        repeats = [place for place, source in enumerate(sources) if place != source]
        rows[repeats] = rows[[sources[place] for place in repeats]]
    return embeddings


def _batches(texts: list[tuple[int, ...]], batch_size: int) -> Iterator[list[tuple[int, ...]]]:
    """Cut texts, longest first, into batches of at most so many texts, and so many tokens where a text allows it."""
    ends = np.fromiter(accumulate(map(len, texts)), np.int64, len(texts))
    start = 0
    while start < len(texts):
        tokens_before = int(ends[start]) - len(texts[start])
        affordable = int(np.searchsorted(ends, tokens_before + _TOKENS_AT_ONCE, side="right"))
        stop = max(start + 1, min(start + batch_size, affordable))
        yield texts[start:stop]
        start = stop


def _check_ids(texts: list[tuple[int, ...]], vocabulary_size: int, places: dict[tuple[int, ...], int]) -> None:
    """Refuse texts, longest first, of which one has no id or one that the vocabulary has not."""
    if not texts:
        return
    try:
        ids = np.fromiter(chain.from_iterable(texts), np.int64)
        all_are_known = bool(texts[-1]) and ids.min() >= 0 and ids.max() < vocabulary_size
    except OverflowError:  # no 64-bit number, so no id
        all_are_known = False
    if not all_are_known:
        wrong = next(ids for ids in texts if not ids or min(ids) < 0 or max(ids) >= vocabulary_size)
        raise _refusal(wrong, places[wrong], vocabulary_size)


def _refusal(ids: object, place: int, vocabulary_size: int) -> ValueError:
    got = list(ids[:20]) if isinstance(ids, Sequence | np.ndarray | Tensor) and not isinstance(ids, str) else ids
    return ValueError(
        f"token_ids must hold at least one id per text, each in 0..{vocabulary_size - 1}; "
        f"got {got!r:.200} for text {place}"
    )
