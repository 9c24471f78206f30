"""Pair heads against arithmetic by hand, and their symmetry."""

import math

import pytest
import torch
from torch import nn

from simlstm.models.config import HeadName, ModelConfig
from simlstm.models.heads import CosineHead, ManhattanHead, MLPHead, build_head
from simlstm.models.normalization import normalize_rows

U = torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]])
V = torch.tensor([[4.0, 3.0], [0.0, 2.0], [5.0, 1.0]])


def _mlp(classes: int = 5) -> MLPHead:
    torch.manual_seed(0)
    return MLPHead(2, hidden_size=3, classes=classes, activation="tanh", dropout=0.0)


def test_cosine_by_hand() -> None:
    output = CosineHead()(U, V)
    torch.testing.assert_close(output.score, torch.tensor([24 / 25, 0.0, 0.0]))
    assert output.class_log_probabilities is None


def test_manhattan_by_hand() -> None:
    score = ManhattanHead()(U, V).score
    torch.testing.assert_close(score, torch.tensor([math.exp(-2), math.exp(-3), math.exp(-6)]))
    assert torch.equal(ManhattanHead()(U, U).score, torch.ones(3))


def test_mlp_by_hand() -> None:
    head = _mlp()
    first, last = head.layers[0], head.layers[-1]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    output = head(U, V)
    for row, (u, v) in enumerate(zip(U.tolist(), V.tolist(), strict=True)):
        features = torch.tensor([abs(u[0] - v[0]), abs(u[1] - v[1]), u[0] * v[0], u[1] * v[1]])
        hidden = torch.tanh(first.weight @ features + first.bias)
        probabilities = torch.softmax(last.weight @ hidden + last.bias, dim=0)
        assert output.class_log_probabilities is not None
        torch.testing.assert_close(output.class_log_probabilities[row].exp(), probabilities)
        expected_class = sum(grade * probability for grade, probability in enumerate(probabilities.tolist()))
        assert output.score[row].item() == pytest.approx(expected_class / 4, rel=1e-5)


def test_two_classes_give_the_probability_of_the_second() -> None:
    output = _mlp(classes=2)(U, V)
    assert output.class_log_probabilities is not None
    torch.testing.assert_close(output.score, output.class_log_probabilities[:, 1].exp())


@pytest.mark.parametrize("name", ["cosine", "manhattan", "mlp"])
def test_symmetric_to_the_last_bit(name: HeadName) -> None:
    torch.manual_seed(0)
    head = build_head(ModelConfig(vocabulary_size=9, head=name), 33)
    u, v = torch.randn(2, 50, 33)
    assert torch.equal(head(u, v).score, head(v, u).score)


@pytest.mark.parametrize("head", [CosineHead(), ManhattanHead(), _mlp()])
@pytest.mark.parametrize(("u", "v"), [(U, V), (torch.zeros(2, 2), torch.zeros(2, 2)), (1e3 * U, -1e3 * V)])
def test_scores_and_gradients_are_always_finite(head: nn.Module, u: torch.Tensor, v: torch.Tensor) -> None:
    u, v = u.clone().requires_grad_(), v.clone().requires_grad_()
    score = head(u, v).score
    gradients = torch.autograd.grad(score.sum(), [u, v])
    assert all(tensor.isfinite().all() for tensor in (score, *gradients))


@pytest.mark.parametrize("head", [CosineHead(), ManhattanHead(), _mlp()])
def test_gradcheck(head: nn.Module) -> None:
    torch.manual_seed(0)
    u, v = torch.randn(2, 4, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *pair: head.double()(*pair).score, (u.requires_grad_(), v.requires_grad_()))
    head.float()


def test_no_pairs() -> None:
    assert _mlp()(torch.zeros(0, 2), torch.zeros(0, 2)).score.shape == (0,)


def test_normalized_rows_have_length_one_and_zero_stays() -> None:
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1e-15, 0.0]], requires_grad=True)
    normalized = normalize_rows(rows)
    torch.testing.assert_close(normalized.detach(), torch.tensor([[0.6, 0.8], [0.0, 0.0], [1.0, 0.0]]))
    (gradient,) = torch.autograd.grad(normalized[1].sum(), rows)
    assert torch.equal(gradient[1], torch.ones(2)), "the zero row hands its gradient through, not times 1e12"


@pytest.mark.parametrize("name", ["cosine", "manhattan", "mlp"])
def test_scores_are_not_rounded_to_sixteen_bits(name: HeadName) -> None:
    torch.manual_seed(0)
    head = build_head(ModelConfig(vocabulary_size=2, head=name), 32)
    u, v = 0.1 * torch.randn(2, 500, 32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output = head(u.bfloat16(), v.bfloat16())
    assert output.score.dtype == torch.float32
    assert len(output.score.unique()) > 450  # bfloat16 leaves fewer than a hundred


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_rows_are_normalized_in_float32(dtype):
    """In float16 the squares of 300 are infinite."""
    rows = torch.full((2, 512), 300.0, dtype=dtype)
    assert torch.equal(normalize_rows(rows), normalize_rows(rows.float()).to(dtype))
