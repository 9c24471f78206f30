"""Batches of tokenized texts: what shares a batch, how large it is, and that nothing is computed twice."""

import random
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import unpack_sequence

from simlstm.models import batches
from simlstm.models.arrivals import Arrival
from simlstm.models.batches import encode_batches


class Recorder:
    """An encoder whose vector is (sum of ids, number of ids), and that keeps the sentences of each batch."""

    def __init__(self):
        self.batches = []

    def __call__(self, tokens):
        sequences = unpack_sequence(tokens)
        self.batches.append([tuple(sequence.tolist()) for sequence in sequences])
        return torch.tensor([[float(sequence.sum()), float(len(sequence))] for sequence in sequences])


def encode(ids, *, batch_size=4, vocabulary_size=100):
    recorder = Recorder()
    result = encode_batches(recorder, ids, vocabulary_size=vocabulary_size, output_size=2, batch_size=batch_size)
    assert result.tolist() == [[sum(sentence), len(sentence)] for sentence in ids]
    return recorder.batches


def drawn(count, longest=9):
    generator = random.Random(0)
    return [generator.choices(range(100), k=generator.randint(1, longest)) for _ in range(count)]


def test_like_lengths_share_a_batch():
    lengths = [[len(text) for text in batch] for batch in encode(drawn(50))]
    assert [len(batch) for batch in lengths[:-1]] == [4] * 12
    in_order = [length for batch in lengths for length in batch]
    assert in_order == sorted(in_order, reverse=True)


def test_batches_follow_from_the_set_of_texts():
    ids = drawn(50)
    shuffled = random.Random(1).sample(ids, len(ids))
    assert encode(ids) == encode(shuffled) == encode([*ids, *ids[::-1]])


def test_equal_texts_are_computed_once():
    assert encode([[1, 2], [3], [1, 2], [3], [3], [2, 1]]) == [[(1, 2), (2, 1), (3,)]]
    assert encode([[1]] * 9) == [[(1,)]]


def test_no_text_is_no_batch():
    assert encode([]) == []


def test_a_batch_holds_so_many_tokens_unless_one_text_has_more(monkeypatch):
    monkeypatch.setattr(batches, "_TOKENS_AT_ONCE", 10)
    ids = [[1] * 25, [1] * 10, [1] * 6, [1] * 5, [2] * 5, [1] * 3, [2] * 3, [1], [2], [3], [4], [5]]
    sizes = [[len(text) for text in batch] for batch in encode(ids)]
    assert sizes == [[25], [10], [6], [5, 5], [3, 3, 1, 1], [1, 1, 1]]


class Late:
    """Results that arrive when they are waited for, as those of a GPU do; counts what is under way."""

    def __init__(self):
        self.under_way = self.most_under_way = 0

    def of(self, result):
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        host = torch.full(result.shape, torch.nan)

        def arrive():
            self.under_way -= 1
            host.copy_(result)

        return Arrival(host, SimpleNamespace(synchronize=arrive))


def test_results_that_come_late_end_in_their_places(monkeypatch):
    late = Late()
    monkeypatch.setattr(batches, "Arrivals", lambda: late)
    assert len(encode([*drawn(50), *drawn(9)])) == 13
    assert (late.under_way, late.most_under_way) == (0, 3), "all were awaited, and not one after the other"


def test_arrays_are_taken_too():
    assert encode(np.array([[1, 2], [1, 2], [0, 99]])) == [[(0, 99), (1, 2)]]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([[1], []], r"at least one id per text, each in 0\.\.99; got \[\] for text 1"),
        ([[1], [0, 100], [1]], r"got \[0, 100\] for text 1"),
        ([[-1], [5]], r"got \[-1\] for text 0"),
        ([[1], [2**70]], r"got \[1180591620717411303424\] for text 1"),
        ([[5], [7] * 30 + [100]], r"got \[(7, ){19}7\] for text 1"),
        ([[1], [1.7]], r"got \[1\.7\] for text 1"),
        ([[1], [1.0]], r"got \[1\.0\] for text 1"),
        ([["1"]], r"got \['1'\] for text 0"),
        (["12"], r"got '12' for text 0"),
        ([[1], 12], r"got 12 for text 1"),
        ([[None]], r"got \[None\] for text 0"),
        ([torch.tensor([1.0, 2.0])], r"got \[tensor\(1\.\), tensor\(2\.\)\] for text 0"),
    ],
)
def test_ids_that_are_none_are_named(ids, message):
    with pytest.raises(ValueError, match=message):
        encode(ids)


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, "4", None])
def test_an_impossible_batch_size_is_refused(batch_size):
    with pytest.raises(ValueError, match=f"batch_size must be an integer, at least 1, got {batch_size!r}"):
        encode([[1]], batch_size=batch_size)


@pytest.mark.parametrize("default", [torch.float64, torch.float16])
def test_the_result_is_float32_whatever_torch_makes_by_default(default):
    torch.set_default_dtype(default)
    try:
        vectors = torch.tensor([[0.1]], dtype=torch.float32)
        result = encode_batches(lambda _: vectors, [[1]] * 2, vocabulary_size=9, output_size=1, batch_size=4)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(result, vectors.repeat(2, 1))


def opcodes(function):
    """Count the bytecode instructions that a call executes: the same on every machine, however busy."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)  # the coverage measurement's own
    return count


def test_python_does_nothing_for_each_token():
    vectors = torch.zeros(64, 4)

    def work(length):
        ids = [[text, *[1] * (length - 1)] for text in range(256)]
        return opcodes(
            lambda: encode_batches(lambda tokens: vectors, ids, vocabulary_size=256, output_size=4, batch_size=64)
        )

    work(5)  # what is imported and cached at the first call
    # Measuring coverage adds instructions of its own now and then; 256 texts with 195 tokens more would be 49,920.
    assert abs(work(200) - work(5)) < 500
