"""AdamW with a rate for each part of the model, and its state as named tensors."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from simlstm.training.config import EmbeddingConfig, OptimizerConfig
from simlstm.training.row_updates import RowwiseAdamW


def build_optimizer(model: nn.Module, config: OptimizerConfig, embedding: EmbeddingConfig) -> torch.optim.AdamW:
    """Build AdamW (Loshchilov and Hutter 2019) over the model's trainable parameters.

    Groups: the embedding table, the recurrent layers, the head, and the rest, each with its own rate in ``base_rate``;
    matrices outside the embedding decay, everything else does not. Each group knows its parameters' names.

    Args:
        model: A SiameseModel.
        config: Rates and decay.
        embedding: The scale of the table's rate, and whether only the rows of a batch are updated.
    """
    groups: dict[tuple[str, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        part, scale = _part(name, config, embedding)
        decays = parameter.ndim >= 2 and part != "embedding"
        group = groups.setdefault((part, decays), {"params": [], "names": [], "part": part})
        group["params"].append(parameter)
        group["names"].append(name)
        group["base_rate"] = group["lr"] = config.learning_rate * scale
        group["weight_decay"] = config.weight_decay if decays else 0.0
    kind = RowwiseAdamW if embedding.row_updates else torch.optim.AdamW
    return kind(list(groups.values()), betas=(config.beta1, config.beta2), eps=config.epsilon, fused=True)


def _part(name: str, config: OptimizerConfig, embedding: EmbeddingConfig) -> tuple[str, float]:
    """Say which part of the model a parameter belongs to, and how its rate is scaled."""
    if name.startswith("encoder.embedding."):
        return "embedding", embedding.learning_rate_scale
    if name.startswith("encoder.recurrent."):
        return "recurrent", config.recurrent_learning_rate_scale
    if name.startswith(("head.", "others.")):
        return "head", config.head_learning_rate_scale
    return "rest", 1.0


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's rate to its base rate times a factor."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_rate"] * factor


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the moments and step counts as ``parameter name/key`` to tensor; empty before the first step."""
    return {
        f"{name}/{key}": value
        for name, parameter in _named(optimizer)
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` returned.

    Raises:
        ValueError: When a tensor belongs to no parameter of this optimizer, or has another shape.
    """
    parameters = dict(_named(optimizer))
    for entry, value in tensors.items():
        name, _, key = entry.rpartition("/")
        parameter = parameters.get(name)
        if parameter is None or (value.ndim and value.shape != parameter.shape):
            raise ValueError(f"optimizer state: {entry} {tuple(value.shape)} fits no parameter of this model")
        # The step count stays where AdamW keeps it: on the parameter's device when fused.
        optimizer.state[parameter][key] = value.to(parameter.device, copy=True)


def _named(optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, nn.Parameter]]:
    for group in optimizer.param_groups:
        yield from zip(group["names"], group["params"], strict=True)
