"""A transformer of MiniLM's shape with random weights: the peer in speed at turning token ids into vectors."""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

LAYERS, WIDTH, HEADS, FEED_FORWARD = 6, 384, 12, 1536
_MOST_TOKENS = 512
BATCH_SIZE = 1024  # sentences; a GPU is not filled by the 32 that are the default of sentence-transformers


class MiniLmShape(nn.Module):
    """Token and position embeddings, six layers of attention over 384 numbers, the mean of a sentence's tokens.

    Args:
        vocabulary_size: Rows of the token table.
        nested: Whether torch's fused inference path runs, which leaves the padding out (nested tensors), or the
            ordinary one, whose attention is ``scaled_dot_product_attention`` with a mask.
    """

    def __init__(self, vocabulary_size: int, *, nested: bool) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary_size, WIDTH)
        self.positions = nn.Embedding(_MOST_TOKENS, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, FEED_FORWARD, dropout=0.0, activation="gelu", batch_first=True)
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=nested)
        self.nested = nested

    def forward(self, ids: Tensor, padding: Tensor) -> Tensor:
        """Encode one padded batch.

        Args:
            ids: int64 [B, T].
            padding: bool [B, T], true where there is no token.

        Returns:
            [B, 384], of length 1.
        """
        places = torch.arange(ids.shape[1], device=ids.device)
        embedded = self.norm(self.tokens(ids) + self.positions(places))
        fused = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(self.nested)
        try:
            rows = self.layers(embedded, src_key_padding_mask=padding)
        finally:
            torch.backends.mha.set_fastpath_enabled(fused)
        kept = ~padding[:, :, None]  # what stands at padding may be anything
        total = rows.masked_fill(~kept, 0).sum(1)
        return normalize(total / kept.sum(1), dim=1)


class PaddedSentences:
    """Sentences sorted by length, longest first, in padded batches on a device.

    Args:
        sentences: Ids of each, longest first.
        device: Where the batches lie.
    """

    def __init__(self, sentences: Sequence[Sequence[int]], device: torch.device) -> None:
        self.batches: list[tuple[Tensor, Tensor]] = []
        for start in range(0, len(sentences), BATCH_SIZE):
            part = sentences[start : start + BATCH_SIZE]
            lengths = torch.tensor([len(sentence) for sentence in part])
            padding = torch.arange(len(part[0])) >= lengths[:, None]
            ids = torch.zeros(padding.shape, dtype=torch.int64)
            ids[~padding] = torch.tensor(list(chain.from_iterable(part)))
            self.batches.append((ids.to(device), padding.to(device)))

    def encode(self, model: nn.Module) -> Tensor:
        """Return the vectors of all sentences, [n, D]."""
        with torch.inference_mode():
            return torch.cat([model(ids, padding) for ids, padding in self.batches])
