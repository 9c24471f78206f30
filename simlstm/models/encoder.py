"""SentenceEncoder: embed, recur, pool, project, normalise."""

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from simlstm.models.config import ModelConfig, PoolingName
from simlstm.models.normalization import normalize_rows
from simlstm.models.pooling import POOLINGS
from simlstm.models.weight_dropout import run_with_dropped_weights
from simlstm.rnn import LSTM


class SentenceEncoder(nn.Module):
    """One vector per sentence, from a packed batch of token ids.

    ``recurrent`` may be replaced by a ``torch.nn.LSTM`` of the same sizes: arguments, results and state_dict agree.

    Args:
        vocabulary_size: Rows of the embedding table.
        embedding_size: Width I of a row of the embedding table.
        hidden_size: Width H of the recurrent state, per direction.
        num_layers: Recurrent layers.
        bidirectional: Whether each layer also reads backwards.
        dropout: Dropout between recurrent layers.
        embedding_dropout: Dropout on the elements of embedded tokens.
        word_dropout: Probability that a token becomes the unknown token in training.
        recurrent_dropout: Dropout on h inside the recurrence, one mask for a whole sentence; step by step, so slower.
        weight_dropout: Dropout on the hidden-to-hidden weights in training, one mask for a call.
        unknown_id: Id of the unknown token.
        pooling: Name of the pooling, a key of ``POOLINGS``.
        projection_size: Width of a linear layer behind the pooling; None for none.
        normalize: Whether embeddings are scaled to length 1; a zero vector stays zero.
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        embedding_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        word_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        unknown_id: int = 0,
        pooling: PoolingName = "max",
        projection_size: int | None = None,
        normalize: bool = False,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.embedding_dropout = nn.Dropout(embedding_dropout)
        self.word_dropout = word_dropout
        self.weight_dropout = weight_dropout
        self.unknown_id = unknown_id
        self.recurrent: nn.Module = LSTM(
            embedding_size,
            hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            bidirectional=bidirectional,
            recurrent_dropout=recurrent_dropout,
        )
        recurrent_size = hidden_size * (2 if bidirectional else 1)
        self.pooling = POOLINGS[pooling](recurrent_size, bidirectional=bidirectional)
        self.projection = nn.Linear(self.pooling.output_size, projection_size) if projection_size else nn.Identity()
        self.normalize = normalize
        self.output_size = projection_size or self.pooling.output_size

    @classmethod
    def from_config(cls, config: ModelConfig) -> Self:
        """Build the encoder that a configuration describes, with random weights."""
        return cls(
            vocabulary_size=config.vocabulary_size,
            embedding_size=config.embedding_size,
            hidden_size=config.hidden_size,
            num_layers=config.num_layers,
            bidirectional=config.bidirectional,
            dropout=config.dropout,
            embedding_dropout=config.embedding_dropout,
            word_dropout=config.word_dropout,
            recurrent_dropout=config.recurrent_dropout,
            weight_dropout=config.weight_dropout,
            unknown_id=config.unknown_id,
            pooling=config.pooling,
            projection_size=config.projection_size,
            normalize=config.normalize,
        )

    def forward(self, tokens: PackedSequence) -> Tensor:
        """Encode sentences.

        Args:
            tokens: int64 token ids, data [N], as ``simlstm.data.batching.pack`` makes them.

        Returns:
            Embeddings [B, D], in the order in which the caller gave the sentences to ``pack``.
        """
        ids = tokens.data
        if self.training and self.word_dropout > 0:
            dropped = torch.rand(ids.shape, device=ids.device) < self.word_dropout
            ids = ids.masked_fill(dropped, self.unknown_id)
        rows = self.embedding_dropout(self.embedding(ids))  # [N, I]
        packed = PackedSequence(rows, tokens.batch_sizes, tokens.sorted_indices, tokens.unsorted_indices)
        if self.training and self.weight_dropout > 0:
            outputs, _ = run_with_dropped_weights(self.recurrent, self.weight_dropout, packed)
        else:
            outputs, _ = self.recurrent(packed)
        embeddings: Tensor = self.pooling(outputs.data, tokens.batch_sizes)  # [B, D], longest first
        if tokens.unsorted_indices is not None:
            embeddings = embeddings.index_select(0, tokens.unsorted_indices)
        embeddings = self.projection(embeddings)
        return normalize_rows(embeddings) if self.normalize else embeddings
