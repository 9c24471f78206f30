"""FrozenEncoder: a sentence encoder for inference only, with everything computed in advance that can be."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NoReturn, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from simlstm.models.batches import encode_batches
from simlstm.models.device_encoder import DeviceEncoder
from simlstm.models.encoder import SentenceEncoder
from simlstm.models.folded import FoldedLayer, GateTable, TokenGates, fold_layers, fold_vocabulary
from simlstm.models.freezable import obstacle
from simlstm.models.fused_pooling import WANTED, pooled
from simlstm.models.normalization import normalize_rows
from simlstm.models.packed import sequence_lengths
from simlstm.models.pooling import Pooling
from simlstm.rnn import LSTM
from simlstm.rnn.frozen import (
    PRECISIONS,
    Backend,
    Precision,
    RunResult,
    default_precision,
    frozen_backend,
    frozen_backend_on_cuda,
)
from simlstm.rnn.precision import without_autocast


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

    It computes where the encoder was. On CUDA, bfloat16 is the default and float32 is TF32 where torch.nn.LSTM's would
    be (``torch.backends.cudnn.rnn.fp32_precision``, when it is frozen); sigmoid and tanh are the hardware's, with
    relative errors of 5e-4, unless float32 is full. Small batches run as CUDA graphs, see ``DeviceEncoder``.

    Attributes:
        precision: Of the recurrent products; below float32, the gate table is bfloat16.
        backend: What computes the recurrence, "native" on the CPU, "cuda" on CUDA, or "torch". The torch backend rounds
            what a lower precision rounds, but computes in float32: it shows the results, not the speed.
        output_size: Width D of an embedding.
        vocabulary_size: Number of token ids.
        device: Where it computes.
    """

    precision: Precision
    backend: Backend
    output_size: int
    vocabulary_size: int
    device: torch.device = field(repr=False)
    _gates: TokenGates = field(repr=False)
    _layers: list[FoldedLayer] = field(repr=False)
    _pooling: Pooling = field(repr=False)
    _projection: nn.Linear | None = field(repr=False)
    _normalize: bool = field(repr=False)
    _on_device: DeviceEncoder | None = field(repr=False)  # all of the above, in the cuda backend

    @classmethod
    def from_encoder(
        cls,
        encoder: SentenceEncoder,
        *,
        precision: Precision | None = None,
        backend: Backend | None = None,
        table_bytes: int = 2**30,
    ) -> Self:
        """Freeze an encoder as it is now; what happens to it later changes nothing here.

        Args:
            encoder: On the CPU or a GPU, in float32, finite, made of its own parts; dropout is left out, whatever its
                mode.
            precision: Of the recurrent products; None takes float32 on the CPU, bfloat16 on CUDA.
            backend: None takes the fastest that is there.
            table_bytes: Largest gate table. It has 8 * H numbers for each token of the vocabulary (two directions); a
                larger one is not made, and each batch folds the tokens that it holds.

        Returns:
            An encoder of its own: nothing is shared.

        Raises:
            ValueError: If the encoder cannot be frozen, because a part was replaced, for one; if the precision or the
                backend is not known; or if there is none such where the encoder is: int8 on CUDA.
            RuntimeError: If a backend is asked for and is not there.
        """
        if precision is not None and precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
        reason = obstacle(encoder)
        recurrent = encoder.recurrent
        if reason is not None or not isinstance(recurrent, LSTM):
            raise ValueError(f"encoder cannot be frozen: {reason}")
        device = encoder.embedding.weight.device
        precision = default_precision(device) if precision is None else precision
        if backend is None and device.type == "cuda":
            if precision == "int8":
                raise ValueError(f"precision must be float32 or bfloat16 on CUDA, got 'int8' for a model on {device}")
            backend = frozen_backend_on_cuda()
        elif backend is None:
            backend = frozen_backend()
        with torch.no_grad(), without_autocast(device):
            layers = fold_layers(recurrent, precision, backend)
            has_guard = backend == "cuda"
            gates = fold_vocabulary(layers[0], encoder.embedding.weight, table_bytes=table_bytes, has_guard=has_guard)
            pooling = deepcopy(encoder.pooling).requires_grad_(False)
            copied = deepcopy(encoder.projection).requires_grad_(False)
            projection = copied if isinstance(copied, nn.Linear) else None
            on_device = None
            if backend == "cuda":
                on_device = DeviceEncoder(
                    layers, gates, pooling, projection, normalize=encoder.normalize, device=device
                )
        if device.type == "cuda":
            torch.cuda.current_stream(device).synchronize()  # whoever computes in another stream finds it all there
        return cls(
            precision=precision,
            backend=backend,
            output_size=encoder.output_size,
            vocabulary_size=encoder.embedding.num_embeddings,
            device=device,
            _gates=gates,
            _layers=layers,
            _pooling=pooling,
            _projection=projection,
            _normalize=encoder.normalize,
            _on_device=on_device,
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

        On CUDA, the host does not wait for the device, from token ids on either, with the cuda backend and a gate
        table. So ids that are on the device are not looked at there: if one is outside of the vocabulary, the embedding
        of its sentence is NaN.

        Args:
            tokens: int64 or int32 token ids on the CPU, data [N], as ``simlstm.data.batching.pack`` makes them; or on
                the device of this encoder.

        Returns:
            float32 [B, D] on the device of this encoder, in the order in which the caller gave the sentences to
            ``pack``.

        Raises:
            ValueError: If there is no id, one outside of the vocabulary, or ids of another dtype, shape or device; or
                if batch_sizes are not positive, grow, or have another sum than N.
            RuntimeError: If a CUDA graph is being captured on the current stream.
        """
        batch_sizes: list[int] = tokens.batch_sizes.tolist()
        _check_packed(tokens.data, batch_sizes, self.device)
        is_unseen = self._on_device is not None and isinstance(self._gates, GateTable) and tokens.data.is_cuda
        if not is_unseen:
            _check_ids(tokens.data, self.vocabulary_size)
        if self._on_device is not None:
            # Without inference mode: what it makes there, nobody could write into later.
            with without_autocast(self.device), torch.inference_mode(mode=False), torch.no_grad(), _on(self.device):
                return self._on_device(tokens.data, tokens.batch_sizes, tokens.unsorted_indices, is_guarded=is_unseen)
        with without_autocast(self.device):
            ids = tokens.data.to(self.device)
            embeddings = self._pool(self._run(ids, batch_sizes), tokens.batch_sizes)
            if tokens.unsorted_indices is not None:
                embeddings = embeddings.index_select(0, tokens.unsorted_indices.to(self.device))
            if self._projection is not None:
                embeddings = self._projection(embeddings)
        return normalize_rows(embeddings) if self._normalize else embeddings

    def _run(self, ids: Tensor, batch_sizes: list[int]) -> RunResult:
        """Run all layers over packed token ids [N], the last one for what the pooling wants."""
        wanted = WANTED[type(self._pooling)]
        table, row_of_token = self._gates.of(ids)
        rows: Tensor | None = row_of_token
        for layer, above in pairwise(self._layers):
            table, rows = above.fold(layer.outputs(table, rows, batch_sizes)), None
        return self._layers[-1].recurrence.run(table, rows, batch_sizes, **wanted._asdict())

    def _pool(self, result: RunResult, batch_sizes: Tensor) -> Tensor:
        """Return one vector per sentence, [B, D], longest first."""
        if result.rows is not None:
            vectors: Tensor = self._pooling(result.rows, batch_sizes)
            return vectors
        return pooled(WANTED[type(self._pooling)], result, sequence_lengths(batch_sizes).to(self.device))

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


def _on(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which kernels start on a device."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _check_packed(ids: Tensor, batch_sizes: list[int], device: torch.device) -> None:
    """Refuse what the kernels, which look at nothing, would read or write beyond its end for."""
    is_there = ids.device.type == "cpu" or ids.device == device
    if ids.dtype not in (torch.int64, torch.int32) or ids.dim() != 1 or not is_there:
        places = "the CPU" if device.type == "cpu" else f"the CPU or {device}"
        raise ValueError(
            f"tokens must hold int64 or int32 ids [N] on {places}, got {ids.dtype} {list(ids.shape)} on {ids.device}"
        )
    never_growing = batch_sizes == sorted(batch_sizes, reverse=True)
    if not batch_sizes or not never_growing or batch_sizes[-1] < 1 or sum(batch_sizes) != len(ids):
        raise ValueError(
            "tokens must have positive batch_sizes that never grow and add up to the number of ids, "
            f"got {batch_sizes!r:.200} for {len(ids)} ids"
        )


def _check_ids(ids: Tensor, vocabulary_size: int) -> None:
    lowest, highest = (int(bound) for bound in torch.aminmax(ids))
    if lowest < 0 or highest >= vocabulary_size:
        raise ValueError(f"tokens must hold ids in 0..{vocabulary_size - 1}, got {lowest}..{highest}")
