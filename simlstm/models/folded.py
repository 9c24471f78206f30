"""Recurrent layers with their input folded: gate tables instead of input products.

The input of the first layer is a row of the embedding table, so what it adds to the gates, W_ih x + b_ih + b_hh, is a
function of the token alone. It is computed once for each token of the vocabulary; what remains of the input product is
reading a row. A layer above has rows of the layer below for its input: they are folded batch by batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor

from simlstm.models.frozen_parameters import recurrent_parameters
from simlstm.rnn import LSTM
from simlstm.rnn.frozen import Backend, FrozenLayer, Precision, freeze_layer

_ROWS_FOLDED_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True)
class FoldedLayer:
    """One recurrent layer of D directions, nothing shared with the module that it was made from.

    Attributes:
        recurrence: The recurrent weights, as the backend wants them.
        w_ih: For each direction float32 [4H, I].
        bias: For each direction float32 [4H], b_ih + b_hh.
    """

    recurrence: FrozenLayer
    w_ih: list[Tensor]
    bias: list[Tensor]

    def fold(self, rows: Tensor) -> Tensor:
        """Turn input rows, float32 [V, I], into a gate table [V, D * G]."""
        return self.recurrence.fold(rows, self.w_ih, self.bias)

    def outputs(self, table: Tensor, ids: Tensor | None, batch_sizes: Sequence[int]) -> Tensor:
        """Return h at every token, [N, D * H]; the arguments are those of ``FrozenLayer.run``."""
        run = self.recurrence.run(table, ids, batch_sizes, rows=True, maximum=False, total=False, last=False)
        return cast("Tensor", run.rows)


def fold_layers(recurrent: LSTM, precision: Precision, backend: Backend) -> list[FoldedLayer]:
    """Copy the weights of a recurrent module, layer by layer.

    Args:
        recurrent: Float32, on one device, without projection; its parameters are of the shapes that its settings name.
        precision: Of the products with h.
        backend: What is to compute the recurrence.
    """
    directions = 2 if recurrent.bidirectional else 1
    parameters = [
        [cast("Tensor", parameter.value).detach().clone() for parameter in group]
        for group in recurrent_parameters(recurrent)
    ]
    layers = []
    for first in range(0, len(parameters), directions):
        group = parameters[first : first + directions]
        bias = [b[0] + b[1] if recurrent.bias else w_hh.new_zeros(len(w_hh)) for _, w_hh, *b in group]
        recurrence = freeze_layer([w_hh for _, w_hh, *_ in group], precision, backend)
        layers.append(FoldedLayer(recurrence, [w_ih for w_ih, *_ in group], bias))
    return layers


class TokenGates(Protocol):
    """What each token of the vocabulary adds to the gates of the first layer."""

    def of(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return a gate table [*, D * G], and for token ids [N] their rows in it, int64 [N]."""


@dataclass(frozen=True, slots=True)
class GateTable:
    """The gates of all tokens, computed in advance.

    Attributes:
        table: [V, D * G].
    """

    table: Tensor

    def of(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """See ``TokenGates``."""
        return self.table, ids


@dataclass(frozen=True, slots=True)
class GatesOnDemand:
    """The gates of the tokens that a batch holds, computed once each, for a vocabulary whose table would be too large.

    On a GPU, the host waits for each batch: it has to know how many tokens there are before it can go on.

    Attributes:
        layer: The first layer.
        embedding: float32 [V, I].
    """

    layer: FoldedLayer
    embedding: Tensor

    def of(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """See ``TokenGates``."""
        distinct, rows = torch.unique(ids, return_inverse=True)
        return self.layer.fold(self.embedding.index_select(0, distinct)), rows


def fold_vocabulary(layer: FoldedLayer, embedding: Tensor, *, table_bytes: int, has_guard: bool = False) -> TokenGates:
    """Fold an embedding table through the input weights of the first layer.

    Args:
        layer: The first layer.
        embedding: float32 [V, I]; not shared with the result.
        table_bytes: Largest table; a larger one is not made.
        has_guard: Whether a table has one row more, of NaN, for ids that nobody has looked at and that are none.
    """
    width = layer.fold(embedding[:1])
    if len(embedding) * width.shape[1] * width.element_size() > table_bytes:
        return GatesOnDemand(layer, embedding.detach().clone())
    table = width.new_full((len(embedding) + has_guard, width.shape[1]), torch.nan)
    for start in range(0, len(embedding), _ROWS_FOLDED_AT_ONCE):
        rows = slice(start, start + _ROWS_FOLDED_AT_ONCE)
        folded = layer.fold(embedding[rows])
        table[start : start + len(folded)] = folded
    return GateTable(table)
