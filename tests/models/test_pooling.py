"""Poolings on packed rows, held against a loop over single sentences."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from simlstm.models.config import PoolingName
from simlstm.models.packed import packed_maximum, packed_sum, sequence_lengths, sequence_of_rows
from simlstm.models.pooling import POOLINGS, AttentionPooling, Pooling

SIZE = 4  # two per direction
LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=6)
RAGGED = [[1], [5], [3, 3, 3], [1, 4, 2], [2, 1, 1, 6]]


def _attend(pooling: Pooling, rows: Tensor) -> Tensor:
    assert isinstance(pooling, AttentionPooling)
    weights = torch.softmax(pooling.relevance(torch.tanh(pooling.hidden(rows))), dim=0)  # [T, 1]
    return (weights * rows).sum(0)


def _last(pooling: Pooling, rows: Tensor) -> Tensor:
    if not pooling.bidirectional:
        return rows[-1]
    return torch.cat([rows[-1, : SIZE // 2], rows[0, SIZE // 2 :]])


REFERENCES: dict[PoolingName, Callable[[Pooling, Tensor], Tensor]] = {
    "mean": lambda _, rows: rows.mean(0),
    "max": lambda _, rows: rows.amax(0),
    "mean_max": lambda _, rows: torch.cat([rows.mean(0), rows.amax(0)]),
    "last": _last,
    "attention": _attend,
}


def sentences(lengths: list[int], seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, SIZE, generator=generator, dtype=torch.float64).requires_grad_() for length in lengths]


def pool(pooling: Pooling, rows: list[Tensor]) -> Tensor:
    """Pack, pool, and put the results into the order of ``rows``."""
    packed = pack_sequence(rows, enforce_sorted=False)
    assert packed.unsorted_indices is not None
    result: Tensor = pooling(packed.data, packed.batch_sizes)
    return result[packed.unsorted_indices]


def build(name: PoolingName, *, bidirectional: bool = True) -> Pooling:
    torch.manual_seed(1)
    return POOLINGS[name](SIZE, bidirectional=bidirectional).double()


def test_every_pooling_has_a_reference() -> None:
    assert POOLINGS.keys() == REFERENCES.keys()


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("name", POOLINGS)
@settings(deadline=None)
@given(lengths=LENGTHS, seed=st.integers(0, 1000))
def test_values_and_gradients_agree_with_a_loop(
    name: PoolingName, bidirectional: bool, lengths: list[int], seed: int
) -> None:
    pooling = build(name, bidirectional=bidirectional)
    rows = sentences(lengths, seed)
    pooled = pool(pooling, rows)
    expected = torch.stack([REFERENCES[name](pooling, sentence) for sentence in rows])
    assert pooled.shape == (len(lengths), pooling.output_size)
    torch.testing.assert_close(pooled, expected, rtol=1e-12, atol=1e-12)

    weights = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    inputs = [*rows, *pooling.parameters()]
    gradients = torch.autograd.grad((pooled * weights).sum(), inputs)
    wanted = torch.autograd.grad((expected * weights).sum(), inputs)
    for gradient, want in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(gradient, want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("lengths", RAGGED)
def test_gradcheck(name: PoolingName, lengths: list[int]) -> None:
    pooling = build(name)
    packed = pack_sequence(sentences(lengths), enforce_sorted=False)
    rows = packed.data.detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda values: pooling(values, packed.batch_sizes), rows)
    if name not in ("max", "mean_max"):  # the maximum says that it has no second derivative
        assert torch.autograd.gradgradcheck(lambda values: pooling(values, packed.batch_sizes), rows)


def test_second_derivative_of_the_maximum_is_refused_not_wrong() -> None:
    packed = pack_sequence(sentences([2, 1]), enforce_sorted=False)
    rows = packed.data.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(packed_maximum(rows, packed.batch_sizes).square().sum(), rows, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("name", ["mean", "max", "mean_max", "last"])
@settings(deadline=None)
@given(lengths=LENGTHS)
def test_a_sentence_does_not_feel_its_batch(name: PoolingName, lengths: list[int]) -> None:
    """To the last bit, and in float32, where the order of additions shows."""
    pooling = build(name).float()
    rows = [sentence.detach().float() for sentence in sentences(lengths)]
    together = pool(pooling, rows)
    for index, sentence in enumerate(rows):
        assert torch.equal(pool(pooling, [sentence])[0], together[index])


def test_ties_send_the_gradient_to_the_first_token() -> None:
    rows = [
        torch.tensor([[1.0], [3.0], [3.0], [2.0], [3.0]], requires_grad=True),
        torch.tensor([[2.0], [2.0]], requires_grad=True),
        torch.tensor([[0.0]], requires_grad=True),
    ]
    packed = pack_sequence(rows, enforce_sorted=False)
    gradients = torch.autograd.grad(
        packed_maximum(packed.data, packed.batch_sizes), rows, torch.tensor([[10.0], [20.0], [30.0]])
    )
    assert [gradient.flatten().tolist() for gradient in gradients] == [[0, 10, 0, 0, 0], [20, 0], [30]]


def test_not_a_number_is_not_hidden() -> None:
    packed = pack_sequence([torch.tensor([[1.0], [torch.nan], [2.0]])])
    assert packed_maximum(packed.data, packed.batch_sizes).isnan().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_rows_are_added_in_float32(dtype: torch.dtype) -> None:
    """Added in bfloat16, 1,001 ones would stop at 256, and rounded to it at the end, be 1,000."""
    rows = torch.ones(1001, 1, dtype=dtype, requires_grad=True)
    total = packed_sum(rows, torch.ones(1001, dtype=torch.int64))
    assert total.dtype == torch.float32
    assert total.item() == 1001
    (gradient,) = torch.autograd.grad(total, rows)
    assert gradient.dtype == dtype


@pytest.mark.parametrize("name", ["mean", "attention"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_mean_of_sixteen_bit_rows_is_rounded_once(name: PoolingName, dtype: torch.dtype) -> None:
    """The mean of 257 ones is 1; with the sum or the count in bfloat16, it would not be."""
    pooled = build(name).to(dtype)(torch.ones(257, SIZE, dtype=dtype), torch.ones(257, dtype=torch.int64))
    assert pooled.dtype == dtype
    assert torch.equal(pooled, torch.ones(1, SIZE, dtype=dtype))


def test_a_printed_pooling_says_what_it_pools() -> None:
    assert repr(build("max")) == "MaxPooling(4, bidirectional=True)"


def test_attention_stands_large_relevances() -> None:
    pooling = build("attention")
    assert isinstance(pooling, AttentionPooling)
    with torch.no_grad():
        pooling.relevance.weight.mul_(1e4)
    pooled = pool(pooling, sentences([3, 2]))
    assert pooled.isfinite().all()


@settings(deadline=None)
@given(lengths=LENGTHS)
def test_the_layout_is_read_right(lengths: list[int]) -> None:
    packed: PackedSequence = pack_sequence(
        [torch.full((length,), index) for index, length in enumerate(lengths)], enforce_sorted=False
    )
    assert packed.sorted_indices is not None
    order = packed.sorted_indices
    assert sequence_lengths(packed.batch_sizes).tolist() == [lengths[index] for index in order.tolist()]
    assert torch.equal(order[sequence_of_rows(packed.batch_sizes, torch.device("cpu"))], packed.data)


@pytest.mark.parametrize("name", POOLINGS)
def test_where_torch_puts_tensors_by_default_does_not_matter(name: PoolingName) -> None:
    pooling = POOLINGS[name](SIZE, bidirectional=True).double()
    packed = pack_sequence([sentence.detach() for sentence in sentences([3, 2, 2])])
    expected = pooling(packed.data, packed.batch_sizes)
    with torch.device("meta"):
        assert torch.equal(pooling(packed.data, packed.batch_sizes), expected)
