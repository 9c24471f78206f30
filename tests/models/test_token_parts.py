"""Parts of a pooled vector by token: they add up to it, and ties go where the gradient goes."""

import pytest
import torch
from torch import nn

from simlstm.models.pooling import POOLINGS
from simlstm.models.token_parts import token_parts


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("count", [1, 2, 9])
@pytest.mark.parametrize("name", POOLINGS)
def test_parts_add_up(name: str, count: int, bidirectional: bool) -> None:
    torch.manual_seed(count)
    pooling = POOLINGS[name](6, bidirectional=bidirectional).double()
    rows = torch.randn(count, 6, dtype=torch.float64)
    pooled = pooling(rows, torch.ones(count, dtype=torch.int64))
    parts = token_parts(pooling, rows)
    assert parts.shape == (count, pooling.output_size)
    torch.testing.assert_close(parts.sum(dim=0), pooled[0], rtol=1e-12, atol=1e-12)


def test_by_hand() -> None:
    rows = torch.tensor([[1.0, -3.0], [1.0, -2.0], [0.0, -2.0]])
    zero = [0.0, 0.0]
    assert token_parts(POOLINGS["max"](2, bidirectional=True), rows).tolist() == [[1.0, 0.0], [0.0, -2.0], zero]
    assert token_parts(POOLINGS["last"](2, bidirectional=True), rows).tolist() == [[0.0, -3.0], zero, [0.0, 0.0]]
    rows[2, 0] = 5.0
    assert token_parts(POOLINGS["last"](2, bidirectional=True), rows).tolist() == [[0.0, -3.0], zero, [5.0, 0.0]]
    assert token_parts(POOLINGS["last"](2, bidirectional=False), rows).tolist() == [zero, zero, [5.0, -2.0]]
    assert token_parts(POOLINGS["mean"](2, bidirectional=True), rows)[0].tolist() == pytest.approx([1 / 3, -1.0])


def test_ties_go_where_the_gradient_goes() -> None:
    rows = torch.randint(0, 3, (40, 50), generator=torch.Generator().manual_seed(0)).float().requires_grad_()
    pooling = POOLINGS["max"](50, bidirectional=True)
    (gradient,) = torch.autograd.grad(pooling(rows, torch.ones(40, dtype=torch.int64)).sum(), rows)
    assert torch.equal(token_parts(pooling, rows.detach()), gradient * rows.detach())


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(ValueError, match="pooling Identity has no parts by token; allowed: mean, max, mean_max, last"):
        token_parts(nn.Identity(), torch.zeros(2, 2))
