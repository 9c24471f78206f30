"""Which shapes of the layer are measured on a GPU, and how."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scripts.benchmarking.cuda.ceilings import COPY_BYTES, SIZE
from scripts.benchmarking.cuda.records import CudaLayerRow
from scripts.benchmarking.cuda.turns import TURN_SECONDS

INPUT_SIZE = 300


@dataclass(frozen=True)
class LayerPlan:
    """What is measured, in this order: layers, mean lengths, hidden sizes, batches; the last one changes first.

    Attributes:
        dtype: Of our layer; torch's takes part in its fastest, too.
        turns: Measured turns of each candidate.
        seconds: No shape is begun after them.
        turn_seconds: Least length of a turn.
        input_size: I.
        peak_size: Rows and columns of the matrix product that is a ceiling.
        copy_bytes: Of the copy that is the other.
        graph_batch: The largest batch whose launches are captured in a graph, too.
    """

    hidden_sizes: Sequence[int]
    batches: Sequence[int]
    layers: Sequence[int]
    mean_lengths: Sequence[float]
    dtype: str
    turns: int
    seconds: float
    turn_seconds: float = TURN_SECONDS
    input_size: int = INPUT_SIZE
    peak_size: int = SIZE
    copy_bytes: int = COPY_BYTES
    graph_batch: int = 64


class Shape(NamedTuple):
    """One shape of the plan."""

    hidden_size: int
    batch: int
    num_layers: int
    mean_length: float

    @classmethod
    def of(cls, row: CudaLayerRow) -> "Shape":
        """Return the shape of a row."""
        return cls(row.hidden_size, row.batch, row.num_layers, row.mean_length)

    @property
    def size(self) -> tuple[int, int]:
        """H and B."""
        return self.hidden_size, self.batch

    @property
    def size_name(self) -> str:
        """H and B, as the name of a shape ends."""
        return f"H={self.hidden_size} B={self.batch}"

    def __str__(self) -> str:
        return f"L={self.num_layers} mean {self.mean_length:g} {self.size_name}"
