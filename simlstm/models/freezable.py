"""Whether an encoder computes what a frozen one would: nothing that somebody changed or added may be left out."""

import torch
from torch import nn

from simlstm.models.encoder import SentenceEncoder
from simlstm.models.pooling import POOLINGS
from simlstm.rnn import LSTM


def obstacle(encoder: SentenceEncoder) -> str | None:
    """Say why an encoder cannot be frozen.

    Args:
        encoder: Any, whatever has been replaced in it.

    Returns:
        What is in the way, as half a sentence; None when nothing is.
    """
    expected: list[tuple[str, nn.Module, tuple[type[nn.Module], ...]]] = [
        ("encoder", encoder, (SentenceEncoder,)),
        ("encoder.embedding", encoder.embedding, (nn.Embedding,)),
        ("encoder.recurrent", encoder.recurrent, (LSTM,)),
        ("encoder.pooling", encoder.pooling, tuple(POOLINGS.values())),
        ("encoder.projection", encoder.projection, (nn.Linear, nn.Identity)),
    ]
    for name, module, kinds in expected:
        if type(module) not in kinds:
            return f"{name} is a {type(module).__qualname__}"
    for name, module in encoder.named_modules(prefix="encoder"):
        if module._forward_hooks or module._forward_pre_hooks:
            return f"{name} has a forward hook"
        if "forward" in vars(module):
            return f"{name} has a forward method of its own"
    if encoder.embedding.max_norm is not None:
        return "encoder.embedding has max_norm, which changes the table when it is read"
    for name in ("proj_size", "zoneout_h", "zoneout_c"):  # zoneout acts in evaluation, too: by its expectation
        if getattr(encoder.recurrent, name):
            return f"encoder.recurrent has {name}"
    for name, tensor in encoder.named_parameters(prefix="encoder"):
        if tensor.device.type != "cpu" or tensor.dtype != torch.float32:
            return f"{name} is {tensor.dtype} on {tensor.device}"
    return None
