"""Weights as bytes, and whether weights are those that a configuration asks for."""

from collections.abc import Mapping

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from simlstm.models.config import ModelConfig
from simlstm.models.siamese import SiameseModel


class WeightsError(ValueError):
    """Weights that are damaged, or not those of the configured model; names the tensor."""


def dump_weights(state: Mapping[str, Tensor]) -> bytes:
    """Write tensors as safetensors; equal tensors give equal bytes.

    Args:
        state: Tensors by name, on any device.

    Returns:
        The content of a .safetensors file.
    """
    # A clone each: safetensors refuses tensors that share memory.
    return safetensors.torch.save(
        {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in sorted(state.items())}
    )


def parse_weights(content: bytes) -> dict[str, Tensor]:
    """Read safetensors.

    Args:
        content: The content of a .safetensors file.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        WeightsError: If the content is something else.
    """
    try:
        return safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(f"not valid safetensors: {error}") from error


def check_weights(config: ModelConfig, state: Mapping[str, Tensor]) -> None:
    """Check that weights are those of the configured model.

    Args:
        config: The architecture.
        state: Tensors by name.

    Raises:
        WeightsError: If tensors are missing or unexpected, or one has another shape or dtype, or holds NaN or an
            infinity.
    """
    with torch.device("meta"):  # shapes only: nothing is allocated, and no random number is drawn
        expected = SiameseModel.from_config(config).state_dict()
    missing = sorted(expected.keys() - state.keys())
    unexpected = sorted(state.keys() - expected.keys())
    if missing or unexpected:
        raise WeightsError(
            "not the tensors of the configured model: "
            + "; ".join(
                f"{kind} {', '.join(names)}"
                for kind, names in (("missing", missing), ("unexpected", unexpected))
                if names
            )
        )
    for name, wanted in expected.items():
        tensor = state[name]
        if tensor.shape != wanted.shape:
            raise WeightsError(f"{name} has shape {list(tensor.shape)}, the configured model {list(wanted.shape)}")
        if tensor.dtype != wanted.dtype:
            raise WeightsError(f"{name} is {tensor.dtype}, the configured model {wanted.dtype}")
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{name} holds NaN or an infinity")
