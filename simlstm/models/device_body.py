"""What a frozen encoder computes on a GPU: a function of tensors there, the same work whatever their values."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from simlstm.models.device_inputs import Inputs
from simlstm.models.fused_pooling import WANTED, pooled
from simlstm.models.normalization import normalize_rows
from simlstm.models.pooling import AttentionPooling, Pooling
from simlstm.rnn.device_walk import DeviceWalk

if TYPE_CHECKING:
    from simlstm.rnn.backends.cuda.frozen import FrozenRecurrence


@dataclass(frozen=True, slots=True)
class Stacked:
    """A layer above the first one.

    Attributes:
        recurrence: Its recurrent weights.
        weights: [D * H, D * 4H] in the dtype of the products, the input weights of all directions side by side.
        bias: [D * 4H], likewise.
    """

    recurrence: "FrozenRecurrence"
    weights: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True)
class DeviceBody:
    """Everything between token ids and embeddings.

    The layers above the first one multiply their input in the precision of the recurrence, too.

    Attributes:
        first: Of the first layer.
        above: The other layers.
        pooling: As the encoder has it.
        projection: None where there is none.
        normalize: Whether embeddings are scaled to length 1.
    """

    first: "FrozenRecurrence"
    above: list[Stacked]
    pooling: Pooling
    projection: nn.Linear | None
    normalize: bool

    def __call__(self, table: Tensor, inputs: Inputs, *, is_guarded: bool) -> Tensor:
        """Compute embeddings; the host does not wait for the device.

        Args:
            table: [V, D * 4H], the gates of the first layer.
            inputs: On the device. Of sequences of length 0, the embedding is anything.
            is_guarded: Whether ids may be none: the last row of the table, which then is of NaN, stands for those that
                are not in 0..V-2, and the embedding of such a sentence is NaN.

        Returns:
            float32 [B, D], in the packed order.
        """
        ids = inputs.ids
        if is_guarded:
            missing = len(table) - 1
            ids = torch.where((ids >= 0) & (ids < missing), ids, missing)
        wanted = WANTED[type(self.pooling)]
        walk = DeviceWalk(inputs.offsets, None, inputs.lengths, rows=len(ids), has_gaps=False)
        rows: Tensor | None = ids
        recurrence = self.first
        for layer in self.above:
            outputs = recurrence.run_walk(table, rows, walk, rows=recurrence.products).rows
            assert outputs is not None  # noqa: S101 - it was asked for
            table, rows, recurrence = torch.addmm(layer.bias, outputs, layer.weights), None, layer.recurrence
        result = recurrence.run_walk(
            table,
            rows,
            walk,
            rows=torch.float32 if wanted.rows else None,
            maximum=wanted.maximum,
            total=wanted.total,
            last=wanted.last or is_guarded,
        )
        if result.rows is None:
            embeddings = pooled(wanted, result, inputs.lengths.clamp(min=1))
        else:
            assert isinstance(self.pooling, AttentionPooling)  # noqa: S101 - the only one that wants rows
            embeddings = _attend(self.pooling, result.rows, inputs)
        if self.projection is not None:
            embeddings = self.projection(embeddings)
        if self.normalize:
            embeddings = normalize_rows(embeddings)
        if is_guarded and result.last is not None:
            # A gate that is NaN makes the cell NaN, from there to the end of the sentence.
            embeddings = embeddings.masked_fill(result.last.isnan().any(1, keepdim=True), torch.nan)
        return embeddings


def _attend(pooling: AttentionPooling, rows: Tensor, inputs: Inputs) -> Tensor:
    """Pool float32 rows [N, D] by attention, where only the device knows the lengths: on a grid of T * B rows."""
    steps, sequences = len(inputs.offsets), len(inputs.lengths)
    runs = torch.arange(steps, device=rows.device)[:, None] < inputs.lengths  # [T, B]
    places = inputs.offsets[:, None] + torch.arange(sequences, device=rows.device)
    places = torch.where(runs, places, 0).flatten()
    relevance: Tensor = pooling.relevance(torch.tanh(pooling.hidden(rows)))[:, 0]
    weights = relevance.index_select(0, places).view(steps, sequences).masked_fill(~runs, -torch.inf).softmax(0)
    weighted: Tensor = rows.index_select(0, places).view(steps, sequences, -1) * weights[..., None]
    return weighted.masked_fill_(~runs[..., None], 0.0).sum(0)
