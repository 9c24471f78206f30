"""Parameter groups, and the optimizer's state as tensors."""

import pytest
import torch

from simlstm.models.config import ModelConfig
from simlstm.models.siamese import SiameseModel
from simlstm.training.config import EmbeddingConfig, OptimizerConfig
from simlstm.training.optimizer import build_optimizer, load_optimizer_tensors, optimizer_tensors, set_rate

SETTINGS = OptimizerConfig(
    learning_rate=0.01, recurrent_learning_rate_scale=0.5, head_learning_rate_scale=2.0, weight_decay=0.1
)


def _model(seed=0, **settings):
    torch.manual_seed(seed)
    return SiameseModel.from_config(
        ModelConfig(vocabulary_size=7, embedding_size=4, hidden_size=3, head_hidden_size=5, **settings)
    )


def _train(model, optimizer, steps):
    generator = torch.Generator().manual_seed(5)
    for _ in range(steps):
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()


def test_each_part_has_its_rate_and_only_matrices_decay():
    model = _model(projection_size=4)
    optimizer = build_optimizer(model, SETTINGS, EmbeddingConfig(learning_rate_scale=0.1))
    rates = {"encoder.embedding": 0.001, "encoder.recurrent": 0.005, "encoder.projection": 0.01, "head": 0.02}
    seen = {}
    for group in optimizer.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            seen[name] = parameter
            (part,) = [part for part in rates if name.startswith(part + ".")]
            assert group["lr"] == pytest.approx(rates[part])
            decays = parameter.ndim == 2 and part != "encoder.embedding"
            assert group["weight_decay"] == (0.1 if decays else 0.0)
    assert seen.keys() == dict(model.named_parameters()).keys()


def test_a_frozen_table_is_left_out():
    model = _model()
    model.encoder.embedding.weight.requires_grad_(False)
    optimizer = build_optimizer(model, SETTINGS, EmbeddingConfig(frozen=True))
    assert not any("embedding" in name for group in optimizer.param_groups for name in group["names"])


def test_rates_are_set_from_their_base():
    optimizer = build_optimizer(_model(), SETTINGS, EmbeddingConfig())
    base = [group["lr"] for group in optimizer.param_groups]
    set_rate(optimizer, 0.5)
    set_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([rate / 4 for rate in base])


def test_state_goes_through_tensors_unchanged():
    model, twin = _model(), _model()
    optimizer = build_optimizer(model, SETTINGS, EmbeddingConfig())
    assert optimizer_tensors(optimizer) == {}
    _train(model, optimizer, 3)
    twin.load_state_dict(model.state_dict())
    other = build_optimizer(twin, SETTINGS, EmbeddingConfig())
    load_optimizer_tensors(other, {name: tensor.clone() for name, tensor in optimizer_tensors(optimizer).items()})
    _train(model, optimizer, 2)
    _train(twin, other, 2)
    for first, second in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(first, second)


def test_state_of_another_model_is_refused():
    optimizer = build_optimizer(_model(), SETTINGS, EmbeddingConfig())
    with pytest.raises(ValueError, match=r"nowhere/exp_avg .* fits no parameter"):
        load_optimizer_tensors(optimizer, {"nowhere/exp_avg": torch.zeros(3)})
    with pytest.raises(ValueError, match="fits no parameter"):
        load_optimizer_tensors(optimizer, {"encoder.embedding.weight/exp_avg": torch.zeros(3, 3)})
