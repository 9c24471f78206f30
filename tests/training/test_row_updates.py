"""Updates of the rows that a step uses: what moves, by how much, and what stays."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from simlstm.training.config import EmbeddingConfig
from simlstm.training.row_updates import RowwiseAdamW, clip_gradients, largest_gradient

RATE = 0.01


def _table(*, sparse, rows=20, size=4):
    torch.manual_seed(0)
    return nn.Embedding(rows, size, sparse=sparse)


def _optimizer(*modules, **settings):
    parameters = [parameter for module in modules for parameter in module.parameters()]
    return RowwiseAdamW(parameters, lr=RATE, weight_decay=0.0, **settings)


def _loss(table, ids, seed=1):
    target = torch.randn(len(ids), table.embedding_dim, generator=torch.Generator().manual_seed(seed))
    return F.mse_loss(table(torch.tensor(ids)), target, reduction="sum")


def test_rows_that_no_token_uses_stay_to_the_bit():
    table = _table(sparse=True)
    before = table.weight.detach().clone()
    optimizer = _optimizer(table)
    for ids in ([3, 3, 5], [5, 7]):
        _loss(table, ids).backward()
        optimizer.step()
        optimizer.zero_grad()
    moved = (table.weight != before).any(dim=1)
    assert moved.nonzero().flatten().tolist() == [3, 5, 7]


def test_an_update_is_adams_without_a_first_moment():
    sparse, dense = _table(sparse=True), _table(sparse=False)
    ours, theirs = (
        _optimizer(sparse),
        torch.optim.AdamW(dense.parameters(), lr=RATE, betas=(0.0, 0.999), weight_decay=0),
    )
    everything = list(range(20))  # each step uses each row, so that lazy and eager are one
    for step in range(5):
        for table, optimizer in ((sparse, ours), (dense, theirs)):
            _loss(table, everything, seed=step).backward()
            optimizer.step()
            optimizer.zero_grad()
    torch.testing.assert_close(sparse.weight, dense.weight)


def test_dense_parameters_are_updated_as_by_adamw():
    layer = nn.Linear(4, 3)
    twin = copy.deepcopy(layer)
    ours = RowwiseAdamW([{"params": [*layer.parameters()]}], lr=RATE, weight_decay=0.1)
    theirs = torch.optim.AdamW(twin.parameters(), lr=RATE, weight_decay=0.1)
    for step in range(3):
        for each, optimizer in ((layer, ours), (twin, theirs)):
            each(torch.full((2, 4), float(step + 1))).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    assert all(torch.equal(*pair) for pair in zip(layer.parameters(), twin.parameters(), strict=True))


@pytest.mark.parametrize("largest", [0.5, 1e6])
def test_clipping_counts_a_row_once_however_many_tokens_it_has(largest):
    norms, gradients = [], []
    for sparse in (True, False):
        table, layer = _table(sparse=sparse), nn.Linear(4, 1, bias=False)
        nn.init.ones_(layer.weight)
        (layer(table(torch.tensor([2, 2, 9]))) * 10).sum().backward()
        parameters = [*table.parameters(), *layer.parameters()]
        norms.append(clip_gradients(parameters, largest))
        gradients.append([each.grad.to_dense() for each in parameters])
    torch.testing.assert_close(*norms)
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_frozen_table_with_row_updates_is_refused():
    with pytest.raises(ValueError, match="row_updates would have no effect with frozen"):
        EmbeddingConfig(frozen=True, row_updates=True)


def test_a_step_that_overflows_moves_nothing():
    table = _table(sparse=True)
    optimizer = _optimizer(table)
    for bad in (True, False, True):  # the first step, too, has nothing to divide by
        before = table.weight.detach().clone()
        _loss(table, [3, 5]).backward()
        if bad:
            table.weight.grad = table.weight.grad * float("inf")
        optimizer.found_inf = torch.tensor(float(bad))  # as a GradScaler says it to an optimizer with fused kernels
        optimizer.step()
        optimizer.zero_grad()
        assert torch.equal(table.weight, before) == bad
        state = optimizer.state[table.weight]
        assert torch.isfinite(state["exp_avg_sq"]).all()
    assert state["step"] == 1


def test_the_largest_gradient_is_that_of_the_summed_up_rows():
    table, layer = _table(sparse=True), nn.Linear(4, 1)
    (3 * layer(table(torch.tensor([2, 2, 2]))).sum()).backward()
    rows = 9 * layer.weight.abs().max().item()
    layer.weight.grad.zero_()
    layer.bias.grad.fill_(-0.5)
    assert largest_gradient([*table.parameters(), *layer.parameters()]).item() == pytest.approx(max(rows, 0.5))
    assert rows > 0.5
