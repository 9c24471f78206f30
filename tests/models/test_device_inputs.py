"""The block of bytes that tells a GPU about a batch: the same layout as everywhere, and nothing behind its end."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simlstm.data.batching import pack
from simlstm.models.device_inputs import Size, block_bytes, cut, stage
from simlstm.rnn.walk import PackedWalk

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=40)


@given(lengths=LENGTHS, is_padded=st.booleans(), id_dtype=st.sampled_from([torch.int32, torch.int64]))
def test_a_block_holds_ids_and_layout(lengths, is_padded, id_dtype):
    tokens = pack([list(range(length)) for length in lengths])
    exact = Size(len(lengths), max(lengths), sum(lengths))
    size = exact.bucket() if is_padded else exact
    block = stage(tokens.batch_sizes, tokens.data, size, id_dtype, pin=False)
    inputs = cut(block, size, id_dtype)
    walk = PackedWalk(tuple(tokens.batch_sizes.tolist()), torch.device("cpu")).on_device
    assert (inputs.offsets.shape, inputs.lengths.shape, inputs.ids.shape) == (
        (size.steps,),
        (size.sequences,),
        (size.rows,),
    )
    assert torch.equal(inputs.offsets[: exact.steps], walk.offsets)
    assert torch.equal(inputs.lengths[: exact.sequences], walk.lengths)
    assert torch.equal(inputs.ids[: exact.rows], tokens.data.to(id_dtype))
    assert not inputs.lengths[exact.sequences :].any()
    assert len(block) == block_bytes(size, id_dtype)[0]
    for view, dtype in zip(inputs, (torch.int64, torch.int32, id_dtype), strict=True):
        assert view.dtype == dtype
        assert (view.data_ptr() - block.data_ptr()) % 16 == 0


@given(numbers=st.tuples(*[st.integers(1, 70_000)] * 3))
def test_a_bucket_is_the_next_power_of_two(numbers):
    for number, padded in zip(numbers, Size(*numbers).bucket(), strict=True):
        assert padded & (padded - 1) == 0
        assert number <= padded < 2 * number


def test_ids_on_the_device_are_left_out_of_the_block():
    block = stage(torch.tensor([2, 1]), None, Size(2, 2, 3), torch.int64, pin=False)
    inputs = cut(block, Size(2, 2, 3), torch.int64)
    assert inputs.offsets.tolist() == [0, 2]
    assert inputs.lengths.tolist() == [2, 1]
    assert block_bytes(Size(2, 2, 3), torch.int64) == (len(block), 32)


@pytest.mark.parametrize("default", [torch.float64, torch.float16])
def test_a_default_device_and_dtype_change_nothing(default):
    torch.set_default_dtype(default)
    try:
        with torch.device("meta"):
            block = stage(torch.tensor([2, 1], device="cpu"), None, Size(2, 2, 4), torch.int32, pin=False)
            inputs = cut(block, Size(2, 2, 4), torch.int32)
    finally:
        torch.set_default_dtype(torch.float32)
    assert (inputs.lengths.dtype, inputs.lengths.tolist()) == (torch.int32, [2, 1])
