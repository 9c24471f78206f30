"""Whether ours leaves a layer to cuDNN, and what it has measured to decide that."""

from collections.abc import Callable
from typing import Any

import torch

from simlstm.rnn.backends import stock


def layers_by_cudnn(call: Callable[[], object]) -> int:
    """Return how many layers a call of ours hands to torch's operator, which on CUDA is cuDNN.

    Args:
        call: Has been called before, so that nothing is measured in it any more.
    """
    handed = 0
    operator = stock.lstm_layer

    def counted(*arguments: Any) -> Any:
        nonlocal handed
        handed += 1
        return operator(*arguments)

    stock.lstm_layer = counted  # type: ignore[assignment]
    try:
        call()
    finally:
        stock.lstm_layer = operator
    return handed


def measured_plans(device: torch.device) -> dict[str, Any]:
    """Return what our layer has measured on a CUDA device: plans by problem, and whether cuDNN is faster."""
    if device.type != "cuda":
        return {}
    try:
        from simlstm.rnn.backends.cuda import notebook
    except ImportError:  # without triton, there are no kernels
        return {}
    return notebook.read_all(device)
