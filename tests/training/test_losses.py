"""Every loss against a slow loop written from its formula."""

import math

import pytest
import torch

from simlstm.training import losses

SIZES = [1, 2, 7]


def _embeddings(pairs, seed=0, size=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, pairs, size, generator=generator, dtype=torch.float64).requires_grad_().unbind(0)


def _cosine(first, second):
    dot = sum(a * b for a, b in zip(first, second, strict=True))
    return dot / math.sqrt(sum(a * a for a in first) * sum(b * b for b in second))


def _cosines(embeddings1, embeddings2):
    return [_cosine(a, b) for a, b in zip(embeddings1.tolist(), embeddings2.tolist(), strict=True)]


@pytest.mark.parametrize("pairs", SIZES)
def test_mean_squared_error(pairs):
    score, targets = torch.rand(2, pairs, dtype=torch.float64)
    expected = sum((s - t) ** 2 for s, t in zip(score.tolist(), targets.tolist(), strict=True)) / pairs
    assert losses.mean_squared_error(score, targets).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("score", "classes", "expected"),
    [
        (0.0, 5, [1, 0, 0, 0, 0]),
        (1.0, 5, [0, 0, 0, 0, 1]),
        (0.5, 5, [0, 0, 1, 0, 0]),
        (0.65, 5, [0, 0, 0.4, 0.6, 0]),  # 3.6 on the scale 1 to 5: the example's neighbours are classes 3 and 4
        (0.25, 2, [0.75, 0.25]),
        (1.0, 2, [0, 1]),
    ],
)
def test_soft_classes_put_weight_on_the_two_neighbours(score, classes, expected):
    soft = losses.soft_classes(torch.tensor([score], dtype=torch.float64), classes)
    assert soft[0].tolist() == pytest.approx(expected, abs=1e-12)


def test_soft_classes_have_the_target_as_their_mean():
    targets = torch.rand(100, dtype=torch.float64)
    soft = losses.soft_classes(targets, 5)
    assert torch.allclose(soft.sum(1), torch.ones(100, dtype=torch.float64))
    assert torch.allclose(soft @ torch.arange(5, dtype=torch.float64) / 4, targets)


@pytest.mark.parametrize("pairs", SIZES)
@pytest.mark.parametrize("classes", [2, 5])
def test_kl_on_classes(pairs, classes):
    log_probabilities = torch.randn(pairs, classes, dtype=torch.float64).log_softmax(1)
    targets = torch.rand(pairs, dtype=torch.float64)
    expected = 0.0
    for row, target in zip(log_probabilities.tolist(), targets.tolist(), strict=True):
        y = 1 + target * (classes - 1)  # Tai's scale from 1 to K
        for k in range(1, classes + 1):
            p = y - math.floor(y) if k == math.floor(y) + 1 else math.floor(y) - y + 1 if k == math.floor(y) else 0.0
            if p > 0:
                expected += p * (math.log(p) - row[k - 1])
    assert losses.kl_on_classes(log_probabilities, targets).item() == pytest.approx(expected / pairs, rel=1e-9)


def test_kl_is_zero_exactly_at_the_soft_classes():
    targets = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    log_probabilities = losses.soft_classes(targets, 5).clamp(min=1e-300).log()
    assert losses.kl_on_classes(log_probabilities, targets).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("pairs", SIZES)
@pytest.mark.parametrize("classes", [2, 5])
def test_binary_cross_entropy_of_classes(pairs, classes):
    log_probabilities = torch.randn(pairs, classes, dtype=torch.float64).log_softmax(1)
    labels = torch.randint(0, 2, (pairs,)).double()
    expected = 0.0
    for row, label in zip(log_probabilities.tolist(), labels.tolist(), strict=True):
        score = sum(math.exp(p) * k / (classes - 1) for k, p in enumerate(row))
        expected -= math.log(score if label else 1 - score) / pairs
    log_odds = losses.log_odds_of_classes(log_probabilities)
    assert losses.binary_cross_entropy(*log_odds, labels).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("pairs", SIZES)
def test_binary_cross_entropy_of_distances(pairs):
    first, second = _embeddings(pairs)
    labels = torch.randint(0, 2, (pairs,)).double()
    expected = 0.0
    for u, v, label in zip(first.tolist(), second.tolist(), labels.tolist(), strict=True):
        score = math.exp(-sum(abs(x - y) for x, y in zip(u, v, strict=True)))
        expected -= math.log(score if label else 1 - score) / pairs
    log_odds = losses.log_odds_of_distance(first, second)
    assert losses.binary_cross_entropy(*log_odds, labels).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("gap", [5.0, 17.0, 30.0, 80.0])
def test_a_confident_mistake_costs_its_logit_and_no_more(gap):
    logits = torch.tensor([[0.0, gap]], requires_grad=True)  # float32: the score itself rounds to 1
    loss = losses.binary_cross_entropy(*losses.log_odds_of_classes(logits.log_softmax(1)), torch.tensor([0.0]))
    loss.backward()
    assert loss.item() == pytest.approx(gap, rel=0.01)
    assert logits.grad.tolist()[0] == pytest.approx([-1.0, 1.0], abs=0.01)


def test_equal_embeddings_have_a_finite_loss_whatever_the_label():
    same = torch.ones(2, 3)
    loss = losses.binary_cross_entropy(*losses.log_odds_of_distance(same, same), torch.tensor([0.0, 1.0]))
    assert math.isfinite(loss.item())


@pytest.mark.parametrize("pairs", SIZES)
@pytest.mark.parametrize("margin", [0.3, 1.5])
def test_contrastive(pairs, margin):
    first, second = _embeddings(pairs)
    labels = torch.randint(0, 2, (pairs,)).double()
    expected = 0.0
    for cosine, label in zip(_cosines(first, second), labels.tolist(), strict=True):
        distance = 1 - cosine
        expected += distance**2 / 2 if label else max(0, margin - distance) ** 2 / 2
    value = losses.contrastive(first, second, labels, margin=margin).item()
    assert value == pytest.approx(expected / pairs, rel=1e-9)


@pytest.mark.parametrize("pairs", SIZES)
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_cosent(pairs, scale):
    first, second = _embeddings(pairs, seed=1)
    targets = torch.tensor(
        [0.2, 0.9, 0.2, 0.5, 1.0, 0.0, 0.5][:pairs], dtype=torch.float64
    )  # ties compare with nothing
    cosines = _cosines(first, second)
    total = 1.0
    for i in range(pairs):
        for j in range(pairs):
            if targets[i] > targets[j]:
                total += math.exp(scale * (cosines[j] - cosines[i]))
    assert losses.cosent(first, second, targets, scale=scale).item() == pytest.approx(math.log(total), rel=1e-9)


def test_cosent_without_ordered_pairs_is_zero_with_a_zero_gradient():
    first, second = _embeddings(3)
    value = losses.cosent(first, second, torch.ones(3), scale=20)
    (gradient,) = torch.autograd.grad(value, first)
    assert value.item() == 0
    assert torch.equal(gradient, torch.zeros_like(gradient))


@pytest.mark.parametrize("pairs", SIZES)
@pytest.mark.parametrize("groups", [None, [0, 0, 1, 2, 1, 3, 3]])
def test_multiple_negatives(pairs, groups):
    temperature = 0.05
    first, second = _embeddings(pairs, seed=2)
    groups = groups and groups[:pairs]
    rows1, rows2 = first.tolist(), second.tolist()

    def direction(anchors, partners):
        total = 0.0
        for i in range(pairs):
            scores = [
                _cosine(anchors[i], partners[j]) / temperature
                for j in range(pairs)
                if j == i or groups is None or groups[i] != groups[j]
            ]
            own = _cosine(anchors[i], partners[i]) / temperature
            total += math.log(sum(math.exp(s - own) for s in scores))
        return total / pairs

    expected = (direction(rows1, rows2) + direction(rows2, rows1)) / 2
    masks = None if groups is None else torch.tensor(groups)
    value = losses.multiple_negatives(first, second, masks, temperature=temperature).item()
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_gradients_of_every_loss_are_right():
    """Against numeric differences, in float64; CoSENT's and the ranking loss's masks included."""
    first, second = (side.detach().requires_grad_() for side in _embeddings(4, seed=3))
    targets = torch.tensor([0.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    groups = torch.tensor([0, 0, 1, 2])
    cases = [
        lambda a, b: losses.contrastive(a, b, targets, margin=1.0),
        lambda a, b: losses.cosent(a, b, targets, scale=5),
        lambda a, b: losses.multiple_negatives(a, b, groups, temperature=0.5),
    ]
    for case in cases:
        assert torch.autograd.gradcheck(case, (first, second))


@pytest.mark.parametrize("present", [[True, False, True, True, False], [False] * 5, [False, True, False, False, False]])
def test_rows_that_take_no_part_are_as_if_they_were_not_there(present):
    torch.manual_seed(3)
    first, second = (torch.randn(5, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    groups, present = torch.tensor([0, 1, 0, 2, 3]), torch.tensor(present)
    value = losses.multiple_negatives(first, second, groups, temperature=0.05, partners=present)
    gradients = torch.autograd.grad(value, (first, second))
    expected, expected_gradients = first.sum() * 0, (torch.zeros_like(first), torch.zeros_like(second))
    if present.any():
        expected = losses.multiple_negatives(first[present], second[present], groups[present], temperature=0.05)
        expected_gradients = torch.autograd.grad(expected, (first, second))
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradients, expected_gradients)
