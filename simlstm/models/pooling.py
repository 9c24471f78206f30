"""Poolings: the recurrent outputs at all tokens of a sentence become one vector.

Every pooling has the same face: built from the width of a row and the number of directions, called with packed rows
[N, D] and batch_sizes [T], it returns one vector per sequence, [B, output_size], in the order of the packed batch.
"""

import torch
from torch import Tensor, nn

from simlstm.models.config import PoolingName
from simlstm.models.packed import packed_maximum, packed_sum, sequence_lengths, sequence_of_rows
from simlstm.rnn.device_walk import on_device


class Pooling(nn.Module):
    """What all poolings share: the face, and the width of the result.

    Args:
        input_size: Width D of a packed row.
        bidirectional: Whether the second half of a row was read from the last token to the first.
    """

    output_size: int

    def __init__(self, input_size: int, *, bidirectional: bool) -> None:
        super().__init__()
        self.input_size = input_size
        self.bidirectional = bidirectional
        self.output_size = input_size

    def forward(self, rows: Tensor, batch_sizes: Tensor) -> Tensor:
        """Pool each sequence.

        Args:
            rows: Floating point [N, D], packed: time-major, longest sequence first.
            batch_sizes: int64 [T] on the CPU: how many sequences have a token at each step.

        Returns:
            [B, output_size], in the order of the packed batch.
        """
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Show what the pooling was built from."""
        return f"{self.input_size}, bidirectional={self.bidirectional}"


class MeanPooling(Pooling):
    """The mean over tokens."""

    def forward(self, rows: Tensor, batch_sizes: Tensor) -> Tensor:
        """Average the tokens of each sequence; see ``Pooling.forward``."""
        # Not in bfloat16, which knows 256 and 258 but not 257; copied without waiting for the device.
        lengths = sequence_lengths(batch_sizes).float().to(rows.device, non_blocking=True)
        return (packed_sum(rows, batch_sizes) / lengths[:, None]).to(rows.dtype)


class MaxPooling(Pooling):
    """The elementwise maximum over tokens (Conneau et al. 2017, InferSent)."""

    def forward(self, rows: Tensor, batch_sizes: Tensor) -> Tensor:
        """Take the maximum over the tokens of each sequence; see ``Pooling.forward``."""
        return packed_maximum(rows, batch_sizes)


class MeanMaxPooling(Pooling):
    """Mean and maximum side by side, twice as wide as a row."""

    def __init__(self, input_size: int, *, bidirectional: bool) -> None:
        super().__init__(input_size, bidirectional=bidirectional)
        self.mean = MeanPooling(input_size, bidirectional=bidirectional)
        self.max = MaxPooling(input_size, bidirectional=bidirectional)
        self.output_size = 2 * input_size

    def forward(self, rows: Tensor, batch_sizes: Tensor) -> Tensor:
        """Concatenate mean and maximum; see ``Pooling.forward``."""
        return torch.cat([self.mean(rows, batch_sizes), self.max(rows, batch_sizes)], dim=1)


class LastPooling(Pooling):
    """Each direction's final state: forward at the last token, backward at the first."""

    def forward(self, rows: Tensor, batch_sizes: Tensor) -> Tensor:
        """Pick the final states; see ``Pooling.forward``."""
        lengths = sequence_lengths(batch_sizes)
        first_rows = batch_sizes.cumsum(0) - batch_sizes  # [T]
        places = torch.arange(len(lengths), device="cpu")
        (last_tokens,) = on_device([first_rows[lengths - 1] + places], rows.device)
        if not self.bidirectional:
            return rows.index_select(0, last_tokens)
        half = self.input_size // 2
        forward, backward = rows[:, :half], rows[: len(lengths), half:]  # the first B rows are the first tokens
        return torch.cat([forward.index_select(0, last_tokens), backward], dim=1)


class AttentionPooling(Pooling):
    """A weighted mean whose weights are learned: softmax over tokens of v·tanh(W x + b).

    The self-attention of Lin et al. 2017 (A Structured Self-attentive Sentence Embedding) with one hop.
    """

    def __init__(self, input_size: int, *, bidirectional: bool) -> None:
        super().__init__(input_size, bidirectional=bidirectional)
        self.hidden = nn.Linear(input_size, input_size)
        self.relevance = nn.Linear(input_size, 1, bias=False)

    def forward(self, rows: Tensor, batch_sizes: Tensor) -> Tensor:
        """Average the tokens of each sequence by their weights; see ``Pooling.forward``."""
        relevance: Tensor = self.relevance(torch.tanh(self.hidden(rows)))  # [N, 1]
        sequences = sequence_of_rows(batch_sizes, rows.device)
        # A softmax does not depend on what is subtracted: the maximum only keeps exp from overflowing.
        largest = packed_maximum(relevance.detach(), batch_sizes).index_select(0, sequences)
        weights = torch.exp(relevance - largest)
        return (packed_sum(weights * rows, batch_sizes) / packed_sum(weights, batch_sizes)).to(rows.dtype)


POOLINGS: dict[PoolingName, type[Pooling]] = {
    "mean": MeanPooling,
    "max": MaxPooling,
    "mean_max": MeanMaxPooling,
    "last": LastPooling,
    "attention": AttentionPooling,
}
