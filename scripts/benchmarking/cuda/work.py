"""The floor under a layer's time: useful operations, the least bytes that must move, and what they take at best."""

from dataclasses import dataclass

from scripts.benchmarking.arithmetic import layer_operations
from scripts.benchmarking.cuda.records import Ceilings


@dataclass(frozen=True)
class LayerWork:
    """A stack of bidirectional layers on packed input.

    Attributes:
        rows: N, packed rows.
        batch: B, sentences.
        input_size: I.
        hidden_size: H, per direction.
        num_layers: L.
    """

    rows: int
    batch: int
    input_size: int
    hidden_size: int
    num_layers: int

    @property
    def input_sizes(self) -> list[int]:
        """Width of the input of each layer: I, then 2H."""
        return [self.input_size, *[2 * self.hidden_size] * (self.num_layers - 1)]


def operations(shape: LayerWork, *, backward: bool) -> int:
    """Count the matrix products of all layers, as ``arithmetic.layer_operations`` does for one."""
    return sum(
        layer_operations(shape.rows, input_size=size, hidden_size=shape.hidden_size, backward=backward)
        for size in shape.input_sizes
    )


def least_bytes(shape: LayerWork, *, itemsize: int, backward: bool) -> int:
    """Count the bytes that a layer cannot avoid moving through the device's memory.

    Numbers of one layer, both directions, with I its own input width; all in the layer's dtype:

    - forward: reads x, N · I, and the parameters, 2 · (4H · (I + H) + 8H); writes y, N · 2H, and the final h and c,
      2 · 2 · B · H;
    - forward with backward: the forward pass, and it writes what the backward pass cannot do without, the four
      activated gates and the cell state of each row, N · 2 · 5H; the backward pass reads them, x, y, the gradient of y
      and the parameters again, and writes the gradients of x and of the parameters.

    Each once. What a design hands from one kernel of a pass to the next (pre-activations, gradients of gates) counts
    as nothing, because another design might not write it; so does what stays in a cache between steps.
    """
    total = 0
    for size in shape.input_sizes:
        x, y = shape.rows * size, shape.rows * 2 * shape.hidden_size
        parameters = 2 * (4 * shape.hidden_size * (size + shape.hidden_size) + 8 * shape.hidden_size)
        states = 2 * 2 * shape.batch * shape.hidden_size
        total += x + parameters + y + states
        if backward:
            kept = shape.rows * 2 * 5 * shape.hidden_size
            total += kept  # written by the forward pass
            total += kept + x + y + y + parameters  # read by the backward pass, the gradient of y among them
            total += x + parameters  # gradients written
    return total * itemsize


def roofline_seconds(operation_count: int, byte_count: int, ceilings: Ceilings, dtype: str) -> float:
    """Return the larger of the operations' and the bytes' seconds at the measured ceilings.

    The steps of a recurrence wait for one another, which this bound leaves out: a small batch cannot come near it.
    """
    return max(1e-12 * operation_count / ceilings.tflops[dtype], 1e-9 * byte_count / ceilings.gbytes)
