"""SiameseModel: one encoder for both sentences of a pair, and a head that compares them."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from simlstm.models.config import ModelConfig
from simlstm.models.encoder import SentenceEncoder
from simlstm.models.heads import HeadOutput, build_head


@dataclass(frozen=True, slots=True)
class PairOutput:
    """What the model says about P pairs.

    Attributes:
        embeddings1: Embeddings of the first sentences, [P, D].
        embeddings2: Embeddings of the second sentences, [P, D].
        score: [P], higher is more similar: a cosine in [-1, 1], a Manhattan similarity in (0, 1], or an expected class
            scaled to [0, 1], as the head has it.
        class_log_probabilities: [P, K] from the mlp head, else None.
    """

    embeddings1: Tensor
    embeddings2: Tensor
    score: Tensor
    class_log_probabilities: Tensor | None


class SiameseModel(nn.Module):
    """The trainable pair model: all 2P sentences pass the encoder as one packed batch.

    Args:
        encoder: Gives a vector per sentence.
        head: Called with u and v, both [P, D]; returns a ``HeadOutput``.
    """

    def __init__(self, encoder: SentenceEncoder, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    @classmethod
    def from_config(cls, config: ModelConfig) -> Self:
        """Build the model that a configuration describes, with random weights."""
        encoder = SentenceEncoder.from_config(config)
        return cls(encoder, build_head(config, encoder.output_size))

    def forward(self, tokens: PackedSequence) -> PairOutput:
        """Compare P pairs.

        Args:
            tokens: int64 token ids of 2P sentences: all first sentences, then all second ones in the same order.

        Returns:
            Embeddings, scores and class probabilities.

        Raises:
            ValueError: If the number of sentences is odd.
        """
        return self._compare(tokens, self.head)

    def _compare(self, tokens: PackedSequence, head: nn.Module) -> PairOutput:
        """Compare P pairs with a head."""
        embeddings: Tensor = self.encoder(tokens)  # [2P, D]
        if len(embeddings) % 2:
            raise ValueError(
                f"tokens holds {len(embeddings)} sentences; pairs need an even number, all first sentences before all "
                "second ones"
            )
        embeddings1, embeddings2 = embeddings.chunk(2)
        output: HeadOutput = head(embeddings1, embeddings2)
        return PairOutput(embeddings1, embeddings2, output.score, output.class_log_probabilities)
