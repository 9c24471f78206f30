"""FrozenEncoder: a sentence encoder for inference only, with everything computed in advance that can be."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, NoReturn, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from simlstm.models.batches import encode_batches
from simlstm.models.encoder import SentenceEncoder
from simlstm.models.folded import FoldedLayer, TokenGates, fold_layers, fold_vocabulary
from simlstm.models.freezable import obstacle
from simlstm.models.normalization import normalize_rows
from simlstm.models.packed import sequence_lengths
from simlstm.models.pooling import AttentionPooling, LastPooling, MaxPooling, MeanMaxPooling, MeanPooling, Pooling
from simlstm.rnn import LSTM
from simlstm.rnn.frozen import PRECISIONS, Backend, Precision, RunResult, frozen_backend
from simlstm.rnn.precision import without_autocast

_CPU = torch.device("cpu")


class _Wanted(NamedTuple):
    """What a pooling needs of a recurrent layer; the arguments of ``FrozenLayer.run``."""

    rows: bool = False
    maximum: bool = False
    total: bool = False
    last: bool = False


_WANTED: dict[type[Pooling], _Wanted] = {
    MaxPooling: _Wanted(maximum=True),
    MeanPooling: _Wanted(total=True),
    MeanMaxPooling: _Wanted(maximum=True, total=True),
    LastPooling: _Wanted(last=True),
    AttentionPooling: _Wanted(rows=True),
}


@dataclass(frozen=True, slots=True, eq=False)
class FrozenEncoder:
    """A ``SentenceEncoder`` whose weights no longer change; built by ``from_encoder``, immutable, safe in threads.

    A copy of it is itself. It has no pickle: its weights are packed for the processor that they were packed on.

    The input of the first layer is a row of the embedding table, so what it adds to the gates depends on the token
    alone: it is computed once for every token of the vocabulary. Recurrent weights are packed for the kernel, in the
    precision asked for, and poolings that need no token twice are taken while the recurrence runs.

    In float32 the vectors are those of the encoder in evaluation mode up to rounding: seen to differ by 1e-6 where
    values are around 0.2. With the native backend, recurrence and pooling give a sentence the same bits whatever it is
    batched with, in every precision. A projection and attention pooling, and everything in the torch backend, are a
    library's matrix products over all rows of a batch, whose rounding follows from the number of rows: 1e-6, too.

    Attributes:
        precision: Of the recurrent products; below float32, the gate table is bfloat16.
        backend: What computes the recurrence, "native" or "torch". The torch backend rounds what a lower precision
            rounds, but computes in float32: it shows the results, not the speed.
        output_size: Width D of an embedding.
        vocabulary_size: Number of token ids.
    """

    precision: Precision
    backend: Backend
    output_size: int
    vocabulary_size: int
    _gates: TokenGates = field(repr=False)
    _layers: list[FoldedLayer] = field(repr=False)
    _pooling: Pooling = field(repr=False)
    _projection: nn.Linear | None = field(repr=False)
    _normalize: bool = field(repr=False)

    @classmethod
    def from_encoder(
        cls,
        encoder: SentenceEncoder,
        *,
        precision: Precision = "float32",
        backend: Backend | None = None,
        table_bytes: int = 2**30,
    ) -> Self:
        """Freeze an encoder as it is now; what happens to it later changes nothing here.

        Args:
            encoder: On the CPU, in float32, finite, made of its own parts; dropout is left out, whatever its mode.
            precision: Of the recurrent products.
            backend: None takes the fastest that is there.
            table_bytes: Largest gate table. It has 8 * H numbers for each token of the vocabulary (two directions); a
                larger one is not made, and each batch folds the tokens that it holds.

        Returns:
            An encoder of its own: nothing is shared.

        Raises:
            ValueError: If the encoder cannot be frozen, because a part was replaced, for one; or if the precision or
                the backend is not known.
            RuntimeError: If the native backend is asked for and is not there.
        """
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
        reason = obstacle(encoder)
        recurrent = encoder.recurrent
        if reason is not None or not isinstance(recurrent, LSTM):
            raise ValueError(f"encoder cannot be frozen: {reason}")
        backend = frozen_backend() if backend is None else backend
        with torch.no_grad(), without_autocast(_CPU):
            layers = fold_layers(recurrent, precision, backend)
            projection = deepcopy(encoder.projection).requires_grad_(False)
            return cls(
                precision=precision,
                backend=backend,
                output_size=encoder.output_size,
                vocabulary_size=encoder.embedding.num_embeddings,
                _gates=fold_vocabulary(layers[0], encoder.embedding.weight, table_bytes=table_bytes),
                _layers=layers,
                _pooling=deepcopy(encoder.pooling).requires_grad_(False),
                _projection=projection if isinstance(projection, nn.Linear) else None,
                _normalize=encoder.normalize,
            )

    def encode(self, token_ids: Sequence[Sequence[int]], *, batch_size: int = 256) -> Tensor:
        """Turn tokenized texts into embeddings, equal texts once, in batches of like length.

        Args:
            token_ids: Ids of each text; at least one id each.
            batch_size: Most texts that are computed at once.

        Returns:
            float32 [n, D] on the CPU, in the order of the texts.

        Raises:
            ValueError: If a text has no id, or one that is no integer or outside of the vocabulary; or if batch_size is
                no positive integer.
        """
        return encode_batches(
            self,
            token_ids,
            vocabulary_size=self.vocabulary_size,
            output_size=self.output_size,
            batch_size=batch_size,
        )

    def __call__(self, tokens: PackedSequence) -> Tensor:
        """Turn packed token ids into embeddings.

        Args:
            tokens: int64 or int32 token ids on the CPU, data [N], as ``simlstm.data.batching.pack`` makes them.

        Returns:
            float32 [B, D] on the CPU, in the order in which the caller gave the sentences to ``pack``.

        Raises:
            ValueError: If there is no id, one outside of the vocabulary, or ids of another dtype, shape or device; or
                if batch_sizes are not positive, grow, or have another sum than N.
        """
        batch_sizes: list[int] = tokens.batch_sizes.tolist()
        _check_packed(tokens.data, batch_sizes, self.vocabulary_size)
        with without_autocast(_CPU):
            embeddings = self._pool(self._run(tokens.data, batch_sizes), tokens.batch_sizes)
            if tokens.unsorted_indices is not None:
                embeddings = embeddings.index_select(0, tokens.unsorted_indices)
            if self._projection is not None:
                embeddings = self._projection(embeddings)
        return normalize_rows(embeddings) if self._normalize else embeddings

    def _run(self, ids: Tensor, batch_sizes: list[int]) -> RunResult:
        """Run all layers over packed token ids [N], the last one for what the pooling wants."""
        wanted = _WANTED[type(self._pooling)]
        table, row_of_token = self._gates.of(ids)
        rows: Tensor | None = row_of_token
        for layer, above in pairwise(self._layers):
            table, rows = above.fold(layer.outputs(table, rows, batch_sizes)), None
        return self._layers[-1].recurrence.run(table, rows, batch_sizes, **wanted._asdict())

    def _pool(self, result: RunResult, batch_sizes: Tensor) -> Tensor:
        """Return one vector per sentence, [B, D], longest first."""
        if result.rows is not None:
            pooled: Tensor = self._pooling(result.rows, batch_sizes)
            return pooled
        if result.last is not None:
            return result.last
        parts = []
        if result.total is not None:
            parts.append(result.total / sequence_lengths(batch_sizes)[:, None])
        if result.maximum is not None:
            parts.append(result.maximum)
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    def __copy__(self) -> Self:
        """Return itself: nothing of it ever changes."""
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Return itself: nothing of it ever changes."""
        return self

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled.

        Raises:
            TypeError: Always.
        """
        raise TypeError("a FrozenEncoder cannot be pickled: pickle the SentenceEncoder, and freeze it where it is used")


def _check_packed(ids: Tensor, batch_sizes: list[int], vocabulary_size: int) -> None:
    """Refuse what the kernels, which look at nothing, would read or write beyond its end for."""
    if ids.dtype not in (torch.int64, torch.int32) or ids.dim() != 1 or ids.device.type != "cpu":
        raise ValueError(
            f"tokens must hold int64 or int32 ids [N] on the CPU, got {ids.dtype} {list(ids.shape)} on {ids.device}"
        )
    never_growing = batch_sizes == sorted(batch_sizes, reverse=True)
    if not batch_sizes or not never_growing or batch_sizes[-1] < 1 or sum(batch_sizes) != len(ids):
        raise ValueError(
            "tokens must have positive batch_sizes that never grow and add up to the number of ids, "
            f"got {batch_sizes!r:.200} for {len(ids)} ids"
        )
    lowest, highest = (int(bound) for bound in torch.aminmax(ids))
    if lowest < 0 or highest >= vocabulary_size:
        raise ValueError(f"tokens must hold ids in 0..{vocabulary_size - 1}, got {lowest}..{highest}")
