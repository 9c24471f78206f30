"""What takes part in turning token ids into vectors on a GPU, and the vectors that are right."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from scripts.benchmarking.batches import zipf_sentences
from scripts.benchmarking.cuda.dtypes import DTYPES
from scripts.benchmarking.cuda.flat_weights import flatten_weights
from scripts.benchmarking.cuda.inputs import Lengths
from scripts.benchmarking.cuda.transformer import PaddedSentences
from scripts.benchmarking.encode_shapes import stock_encoder
from simlstm.data.batching import pack
from simlstm.models.encoder import SentenceEncoder
from simlstm.models.frozen import FrozenEncoder

FROZEN, FROM_HOST = "simlstm frozen", "simlstm frozen, from and to the host"
TRANSFORMER, TRANSFORMER_NESTED = "MiniLM shape, padded", "MiniLM shape, nested"
STOCK = "torch"  # a dtype follows


@dataclass(frozen=True)
class TokenSet:
    """One batch of sentences in every form that a candidate takes.

    Attributes:
        packed: int64 on the device.
        on_host: The same on the CPU, pinned where there is a GPU.
        padded: By length, on the device.
    """

    packed: PackedSequence
    on_host: PackedSequence
    padded: PaddedSentences


def token_sets(count: int, drawn: Lengths, vocabulary_size: int, device: torch.device) -> list[TokenSet]:
    """Draw token ids as text has them; all sets have the same lengths."""
    generator = torch.Generator().manual_seed(drawn.rows)
    made = []
    for _ in range(count):
        sentences = zipf_sentences(drawn.lengths.tolist(), vocabulary_size, generator)
        packed = pack(sentences)
        on_host = packed.pin_memory() if device.type == "cuda" else packed
        made.append(TokenSet(packed.to(device=device), on_host, PaddedSentences(sentences, device)))  # type: ignore[call-arg]
    return made


class FrozenCandidate:
    """The frozen encoder.

    Args:
        frozen: On the device.
        sets: Inputs that take turns.
        from_host: Whether ids come from the host and vectors go back to it.
    """

    def __init__(self, frozen: FrozenEncoder, sets: Sequence[TokenSet], *, from_host: bool) -> None:
        self._frozen = frozen
        self._inputs = [made.on_host if from_host else made.packed for made in sets]
        self._from_host = from_host

    def run(self, number: int) -> Tensor:
        """Encode one input."""
        with torch.inference_mode():
            vectors = self._frozen(self._inputs[number % len(self._inputs)])
            return vectors.cpu() if self._from_host else vectors


class StockCandidate:
    """``nn.Embedding``, ``torch.nn.LSTM`` on packed input, and the maximum over tokens, on the device.

    The vectors stand in the order of the sentences, which are sorted already: nothing is sorted back.

    Args:
        encoder: Whose weights it takes.
        dtype: Of weights and arithmetic.
        sets: Inputs that take turns.
    """

    def __init__(self, encoder: SentenceEncoder, dtype: torch.dtype, sets: Sequence[TokenSet]) -> None:
        self._stock = stock_encoder(copy.deepcopy(encoder).cpu()).to(encoder.embedding.weight.device, dtype)
        flatten_weights(cast("nn.LSTM", self._stock.recurrent))
        self._sets = sets

    def run(self, number: int) -> Tensor:
        """Encode one input."""
        tokens = self._sets[number % len(self._sets)].packed
        with torch.inference_mode():
            embedded = PackedSequence(self._stock.embedding(tokens.data), tokens.batch_sizes)
            rows, _ = self._stock.recurrent(embedded)
            return pad_packed_sequence(rows, padding_value=float("-inf"))[0].amax(0)


class TransformerCandidate:
    """The transformer on padded batches.

    Args:
        model: In evaluation mode, on the device.
        sets: Inputs that take turns.
    """

    def __init__(self, model: nn.Module, sets: Sequence[TokenSet]) -> None:
        self._model = model
        self._sets = sets

    def run(self, number: int) -> Tensor:
        """Encode one input."""
        return self._sets[number % len(self._sets)].padded.encode(self._model)


def right_vectors(encoder: SentenceEncoder, tokens: TokenSet) -> Tensor:
    """Return the vectors of the stock modules in float64, [B, 2H]."""
    return StockCandidate(encoder, torch.float64, [tokens]).run(0)


def stock_candidates(encoder: SentenceEncoder, sets: Sequence[TokenSet]) -> dict[str, StockCandidate]:
    """Return the stock modules in each two-byte dtype."""
    return {f"{STOCK} {name}": StockCandidate(encoder, DTYPES[name], sets) for name in ("bfloat16", "float16")}
