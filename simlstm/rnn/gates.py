"""Conversions between the orders in which frameworks stack the four gates.

Every weight and bias of an LSTM stacks its gates along the first dimension: [4H, *]. Which gate comes first is a
convention. Here i is the input gate, f the forget gate, g the candidate (ONNX, Keras and TensorFlow call it c) and
o the output gate.
"""

from types import MappingProxyType

import torch
from torch import Tensor

GATE_ORDERS = MappingProxyType(
    {
        "torch": "ifgo",  # torch.nn.LSTM: W_ii | W_if | W_ig | W_io
        "onnx": "iofg",  # the ONNX operator LSTM: W[iofc]
        "keras": "ifgo",  # keras.layers.LSTM and tf.keras: i, f, c, o along the last axis of a [*, 4H] kernel
        "ifog": "ifog",  # hand-written cells that put the three sigmoid gates side by side
    }
)


def reorder_gates(parameter: Tensor, *, source: str, target: str) -> Tensor:
    """Restack the gates of one weight or bias from one framework's order to another's.

    Keras and TensorFlow keep their kernels transposed, [*, 4H]: transpose before converting from them and after
    converting to them. They have one bias where torch has two; put it into either and zeros into the other.

    Args:
        parameter: [4H, *], a weight or a bias, of any dtype.
        source: the order it is in: "torch", "onnx", "keras" or "ifog".
        target: the order wanted, one of the same.

    Returns:
        Tensor: [4H, *], a new tensor.

    Raises:
        ValueError: an order is not known, or the first dimension does not hold four gates.
    """
    for name, order in (("source", source), ("target", target)):
        if order not in GATE_ORDERS:
            raise ValueError(f"{name} must be one of {', '.join(GATE_ORDERS)}, got {order!r}")
    if parameter.dim() == 0 or parameter.shape[0] % 4 != 0:
        raise ValueError(f"parameter must stack four gates in its first dimension, got shape {tuple(parameter.shape)}")
    gates = dict(zip(GATE_ORDERS[source], parameter.chunk(4), strict=True))
    return torch.cat([gates[gate] for gate in GATE_ORDERS[target]])
