"""Which loss fits which head and data, and what their sum is."""

import pytest
import torch

from simlstm.models.siamese import PairOutput
from simlstm.training import losses
from simlstm.training.config import LossConfig
from simlstm.training.config_file import ConfigError
from simlstm.training.data_config import LossWeights
from simlstm.training.objective import Objective


def _output(pairs=6, classes=5, dtype=torch.float32):
    torch.manual_seed(0)
    first, second = torch.randn(2, pairs, 4, dtype=dtype)
    return PairOutput(
        first, second, torch.rand(pairs, dtype=dtype), torch.randn(pairs, classes, dtype=dtype).log_softmax(1)
    )


def _config(**weights):
    return LossConfig(weights=LossWeights(**weights))


@pytest.mark.parametrize(
    ("weights", "head", "kinds", "message"),
    [
        ({"kl": 1.0}, "cosine", ["graded"], "kl: needs the class probabilities of model.head = 'mlp'; the head is 'co"),
        ({"kl": 1.0}, "manhattan", ["graded"], "kl: needs the class probabilities"),
        ({"bce": 1.0}, "cosine", ["binary"], r"bce: a cosine lies in \[-1, 1\] and is no probability"),
        (
            {"contrastive": 1.0, "kl": 1.0},
            "mlp",
            ["graded"],
            "contrastive: needs binary data; the training sources are gr",
        ),
        ({"multiple_negatives": 1.0}, "cosine", ["graded"], "multiple_negatives: needs binary or positive data"),
        ({"mse": 1.0}, "cosine", ["positive"], "mse: needs graded or binary data; the training sources are positive"),
        (
            {"mse": 1.0},
            "cosine",
            ["graded", "positive"],
            "no loss for the positive training data; got mse; allowed for it",
        ),
        ({"cosent": 1.0}, "mlp", ["graded"], "cosent would leave the mlp head untrained"),
        ({}, "mlp", ["positive"], "multiple_negatives would leave the mlp head untrained"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(weights, head, kinds, message):
    with pytest.raises(ConfigError, match=message):
        Objective(_config(**weights), head=head, kinds=kinds)


@pytest.mark.parametrize(
    ("head", "kinds", "expected"),
    [
        ("mlp", ["graded"], "kl"),
        ("cosine", ["graded"], "cosent"),
        ("manhattan", ["binary"], "mse"),
        ("cosine", ["positive"], "multiple_negatives"),
    ],
)
def test_without_weights_the_loss_follows_the_head(head, kinds, expected):
    assert Objective(LossConfig(), head=head, kinds=kinds).weights == {expected: 1.0}


def test_the_sum_is_weighted_and_lists_its_terms():
    output, targets = _output(), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    objective = Objective(_config(kl=1.0, mse=0.5, bce=2.0, contrastive=0.3, cosent=0.1), head="mlp", kinds=["binary"])
    values = objective(output, targets, None, "binary")
    assert set(values) == {"loss", "kl", "mse", "bce", "contrastive", "cosent"}
    expected = sum(weight * values[name] for name, weight in objective.weights.items())
    assert torch.allclose(values["loss"], expected)
    assert torch.equal(
        values["contrastive"], losses.contrastive(output.embeddings1, output.embeddings2, targets, margin=0.5)
    )


def test_each_kind_of_data_gets_its_own_losses():
    objective = Objective(_config(kl=1.0, multiple_negatives=0.5), head="mlp", kinds=["graded", "positive"])
    targets, groups = torch.ones(6), torch.arange(6)
    assert set(objective(_output(), targets, None, "graded")) == {"loss", "kl"}
    assert set(objective(_output(), targets, groups, "positive")) == {"loss", "multiple_negatives"}


def test_ranking_uses_only_the_similar_pairs_of_labelled_data():
    objective = Objective(_config(multiple_negatives=1.0), head="cosine", kinds=["binary"])
    output, targets, groups = _output(), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0]), torch.tensor([0, 1, 1, 2, 3, 4])
    similar = targets == 1
    expected = losses.multiple_negatives(
        output.embeddings1[similar], output.embeddings2[similar], groups[similar], temperature=0.05
    )
    # The sums go over six rows with zeros in between, and round in another order.
    torch.testing.assert_close(objective(output, targets, groups, "binary")["loss"], expected)


def test_a_batch_without_similar_pairs_has_a_loss_of_zero_that_can_be_differentiated():
    objective = Objective(_config(multiple_negatives=1.0), head="cosine", kinds=["binary"])
    output = _output()
    output.embeddings1.requires_grad_()
    loss = objective(output, torch.zeros(6), None, "binary")["loss"]
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(output.embeddings1.grad, torch.zeros(6, 4))


def test_low_precision_outputs_are_compared_in_float32():
    objective = Objective(_config(kl=1.0, cosent=0.1), head="mlp", kinds=["graded"])
    loss = objective(_output(dtype=torch.bfloat16), torch.rand(6), None, "graded")["loss"]
    assert loss.dtype == torch.float32
