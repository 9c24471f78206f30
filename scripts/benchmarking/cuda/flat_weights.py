"""Torch's layer with its weights side by side, as cuDNN wants them."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.backends.cudnn import rnn


def flatten_weights(layer: nn.LSTM) -> None:
    """Do what ``flatten_parameters`` does, for every dtype that cuDNN takes.

    Torch 2.11 asks a list in Python that lacks bfloat16, and leaves such weights apart: cuDNN then copies them at each
    call. Where cuDNN does not take them, and on the CPU, nothing is done.
    """
    weights = cast("list[Tensor]", layer._flat_weights)
    if not torch.cudnn_is_acceptable(weights[0]) or not torch._use_cudnn_rnn_flatten_weight():
        return
    with torch.no_grad(), torch.cuda.device_of(weights[0]):  # type: ignore[no-untyped-call]
        torch._cudnn_rnn_flatten_weight(
            weights,
            4 if layer.bias else 2,
            layer.input_size,
            rnn.get_cudnn_mode("LSTM"),  # type: ignore[no-untyped-call]
            layer.hidden_size,
            layer.proj_size,
            layer.num_layers,
            layer.batch_first,
            layer.bidirectional,
        )
