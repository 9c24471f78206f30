"""Useful arithmetic of an LSTM layer, in floating-point operations: a multiplication and an addition are two.

Only matrix products are counted, and only for tokens that are there: what a candidate computes on padding, and the
elementwise work on gates, earn it nothing.
"""


def input_operations(rows: int, *, input_size: int, hidden_size: int, directions: int = 2) -> int:
    """Count W_ih x of N packed rows: 2 · N · I · 4H a direction."""
    return 2 * rows * input_size * 4 * hidden_size * directions


def recurrent_operations(rows: int, *, hidden_size: int, directions: int = 2) -> int:
    """Count W_hh h of N packed rows: 2 · N · H · 4H a direction; the first step's h0 counts, too."""
    return 2 * rows * hidden_size * 4 * hidden_size * directions


def layer_operations(
    rows: int, *, input_size: int, hidden_size: int, directions: int = 2, backward: bool = False
) -> int:
    """Count one pass of the layer.

    Args:
        rows: N, packed rows.
        input_size: I.
        hidden_size: H, per direction.
        directions: 1 or 2.
        backward: Whether the gradients of input, states and weights are computed, too. Each forward product has two
            backward ones of its size, one for its data and one for its weights: three times the forward pass.
    """
    forward = input_operations(
        rows, input_size=input_size, hidden_size=hidden_size, directions=directions
    ) + recurrent_operations(rows, hidden_size=hidden_size, directions=directions)
    return 3 * forward if backward else forward
