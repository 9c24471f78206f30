"""Packing against torch, and batches that hold every row once."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence, unpack_sequence

from simlstm.data.batching import BucketBatches, collate_pairs, pack

SEQUENCES = st.lists(st.lists(st.integers(0, 2**40), min_size=1, max_size=12), min_size=1, max_size=30)


@given(SEQUENCES)
def test_pack_unpacks_as_torch_packs(sequences):
    packed = pack(sequences)
    expected = pack_sequence([torch.tensor(ids) for ids in sequences], enforce_sorted=False)
    assert packed.data.dtype == torch.int64
    assert torch.equal(packed.batch_sizes, expected.batch_sizes)
    for ours, theirs in zip(pad_packed_sequence(packed), pad_packed_sequence(expected), strict=True):
        assert torch.equal(ours, theirs)
    assert [ids.tolist() for ids in unpack_sequence(packed)] == sequences
    assert torch.equal(packed.sorted_indices[packed.unsorted_indices], torch.arange(len(sequences)))


@pytest.mark.parametrize(
    "sequences",
    [[[7]], [[1, 2, 3]], [[1], [2], [3]], [[1, 2], [3, 4]], [[1], [2, 3, 4], [5, 6]], [[1, 2, 3], [4, 5], [6]]],
)
def test_pack_is_torchs_for_few_sequences(sequences):
    # Torch sorts few sequences stably, so that every field can be compared.
    for ours, theirs in zip(
        pack(sequences), pack_sequence([torch.tensor(ids) for ids in sequences], enforce_sorted=False), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_equal_lengths_keep_their_order():
    packed = pack([[number] * (1 + number % 3) for number in range(1000)])
    expected = [*range(2, 1000, 3), *range(1, 1000, 3), *range(0, 1000, 3)]
    assert packed.sorted_indices.tolist() == packed.data[:1000].tolist() == expected


def test_the_data_can_be_written_to_and_run():
    packed = pack([[1, 2], [3]])
    embedded = packed._replace(data=torch.nn.Embedding(4, 5)(packed.data))
    assert torch.nn.LSTM(5, 6)(embedded)[1][0].shape == (1, 2, 6)


@pytest.mark.parametrize(
    ("sequences", "message"),
    [([], "token_ids: no sequence came"), ([[1], []], r"token_ids\[1\]: 0 ids came"), ([[]], r"token_ids\[0\]: 0 ids")],
)
def test_nothing_to_pack(sequences, message):
    with pytest.raises(ValueError, match=message):
        pack(sequences)


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 50), max_size=200),
    batch_size=st.integers(1, 20),
    bucket_batches=st.integers(1, 6),
    seed=st.integers(0, 2**32),
    number=st.integers(0, 1000),
)
def test_every_row_stands_in_one_batch(lengths, batch_size, bucket_batches, seed, number):
    batches = BucketBatches(lengths, batch_size=batch_size, bucket_batches=bucket_batches, seed=seed)
    epoch = batches.epoch(number)
    assert sorted(itertools.chain.from_iterable(epoch)) == list(range(len(lengths)))
    assert len(epoch) == len(batches)
    assert sorted(map(len, epoch))[1:] == [batch_size] * (len(epoch) - 1)
    again = BucketBatches(lengths, batch_size=batch_size, bucket_batches=bucket_batches, seed=seed)
    again.epoch(number + 1)
    assert again.epoch(number) == epoch


def test_epochs_and_seeds_differ_and_lengths_meet():
    lengths = [number % 40 + 1 for number in range(2000)]
    batches = BucketBatches(lengths, batch_size=20, seed=1)
    assert batches.epoch(0) != batches.epoch(1)
    assert batches.epoch(0) != BucketBatches(lengths, batch_size=20, seed=2).epoch(0)
    assert {frozenset(batch) for batch in batches.epoch(0)}.isdisjoint(map(frozenset, batches.epoch(1)))

    def spread(batches):
        return sum(max(lengths[row] for row in batch) - min(lengths[row] for row in batch) for batch in batches)

    unsorted = BucketBatches(lengths, batch_size=20, seed=1, bucket_batches=1)
    assert spread(batches.epoch(0)) < spread(unsorted.epoch(0)) / 10


def test_long_and_short_batches_come_in_no_order():
    lengths = list(range(1000))
    epoch = BucketBatches(lengths, batch_size=20, seed=1, bucket_batches=50).epoch(0)
    assert sorted(epoch) == [list(range(start, start + 20)) for start in range(0, 1000, 20)]
    assert epoch not in (sorted(epoch), sorted(epoch, reverse=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size: 0 came"),
        ({"bucket_batches": 0}, "bucket_batches: 0 came"),
        ({"seed": -1}, "seed: -1 came"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        BucketBatches([1, 2], **{"batch_size": 2, "seed": 0, **arguments})


def test_the_number_of_an_epoch_is_checked():
    with pytest.raises(ValueError, match="number: -1 came"):
        BucketBatches([1], batch_size=1, seed=0).epoch(-1)


def test_collated_pairs_stand_in_order():
    batch = collate_pairs([[1], [2, 3]], [[4, 5, 6], [7]], [0.25, 1.0], ["x", "y"])
    assert [ids.tolist() for ids in unpack_sequence(batch.tokens)] == [[1], [2, 3], [4, 5, 6], [7]]
    assert batch.targets.dtype == torch.float32
    assert batch.targets.tolist() == [0.25, 1.0]
    assert batch.groups is not None
    assert batch.groups.dtype == torch.int64
    assert batch.groups[0] != batch.groups[1]


def test_groups_are_equal_where_their_names_are():
    groups = collate_pairs([[1]] * 4, [[2]] * 4, [1.0] * 4, ["a", "b", "a", "b"]).groups
    assert groups is not None
    assert groups.tolist() == [0, 1, 0, 1]
    assert collate_pairs([[1]], [[2]], [1.0]).groups is None


@pytest.mark.parametrize(
    "arguments", [([[1]], [], [1.0]), ([[1]], [[2]], []), ([[1]], [[2]], [1.0, 0.0]), ([[1]], [[2]], [1.0], [])]
)
def test_collated_lengths_agree(arguments):
    with pytest.raises(ValueError, match="ids1, ids2, targets, groups: lengths"):
        collate_pairs(*arguments)
