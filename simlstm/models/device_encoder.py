"""DeviceEncoder: packed token ids to embeddings on a GPU, small batches as CUDA graphs."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from simlstm.models.device_body import DeviceBody, Stacked
from simlstm.models.device_inputs import Inputs, Size, block_bytes, cut, stage
from simlstm.models.folded import FoldedLayer, GateTable, TokenGates
from simlstm.models.pooling import AttentionPooling, Pooling
from simlstm.rnn.backends.cuda.graphs import CudaCapture, Graphs

if TYPE_CHECKING:
    from simlstm.rnn.backends.cuda.frozen import FrozenRecurrence

# Batches up to here are padded to a size that is a graph: starting their work takes longer than the work. No GPU has
# said yet where the border is.
MOST = Size(sequences=2048, steps=1024, rows=32_768)
# Attention pooling in a graph gathers T * B rows, twice: so many are 128 MiB with hidden size 256 in two directions.
MOST_GATHERED = 32_768
# Sizes are powers of two, and sentences of one kind are about equally long: a service meets some dozens.
MOST_GRAPHS = 64


class DeviceEncoder:
    """The computation of a frozen encoder on its GPU; safe in threads.

    Up to ``MOST``, a batch is padded to the next powers of two, with sequences of length 0, and runs as a CUDA graph
    of that size from its second time on. Larger batches run as they are.

    A graph keeps its inputs (8 bytes for a step, 4 for a sequence, 4 or 8 for an id) and its result, float32 [B, D];
    at most ``MOST_GRAPHS`` are kept. The intermediate tensors of all graphs share one memory, as large as the largest
    graph needs: for each row and each layer but the last, 10 * H * D bytes in bfloat16, twice that in float32; with
    attention pooling, 12 * H * D bytes for each row and 8 * H * D for each of T * B.

    Args:
        layers: In the cuda backend.
        gates: Of the first layer; a table has one row more than the vocabulary, of NaN.
        pooling: On the device, as what follows.
        projection: None where there is none.
        normalize: Whether embeddings are scaled to length 1.
        device: Where it all is.
    """

    def __init__(
        self,
        layers: Sequence[FoldedLayer],
        gates: TokenGates,
        pooling: Pooling,
        projection: nn.Linear | None,
        *,
        normalize: bool,
        device: torch.device,
    ) -> None:
        first, *above = (cast("FrozenRecurrence", layer.recurrence) for layer in layers)
        self._body = DeviceBody(
            first=first,
            above=[
                Stacked(
                    recurrence,
                    torch.cat(layer.w_ih).to(recurrence.products).t(),
                    torch.cat(layer.bias).to(recurrence.products),
                )
                for recurrence, layer in zip(above, layers[1:], strict=True)
            ],
            pooling=pooling,
            projection=projection,
            normalize=normalize,
        )
        self._gates = gates
        self._device = device
        self._is_cuda = device.type == "cuda"
        self.graphs = Graphs(device, CudaCapture(device) if self._is_cuda else None, MOST_GRAPHS)

    def __call__(self, ids: Tensor, batch_sizes: Tensor, order: Tensor | None, *, is_guarded: bool) -> Tensor:
        """Compute embeddings; the host does not wait for the device, unless the gate table was too large to be made.

        Args:
            ids: int32 or int64 [N], packed, on the CPU or on the device.
            batch_sizes: int64 [T] on the CPU, positive, never growing, their sum N.
            order: int64 [B] on either: the place of each result in the packed order; None: they stay in it.
            is_guarded: Whether ids were not looked at: where one is no row of the table, the embedding is NaN.

        Returns:
            float32 [B, D] on the device.

        Raises:
            RuntimeError: The caller is capturing a CUDA graph.
        """
        if self._is_cuda and torch.cuda.is_current_stream_capturing():
            raise RuntimeError(
                "a frozen encoder cannot be captured in a CUDA graph: the lengths, which the host knows, would stay "
                "those of the capture; it makes graphs of its own"
            )
        size = Size(int(batch_sizes[0]), len(batch_sizes), len(ids))
        order = None if order is None else self._sent(order)
        if not isinstance(self._gates, GateTable):
            return _ordered(self._on_demand(self._gates, ids, batch_sizes, size), order)
        table, bucket = self._gates.table, size.bucket()
        # Ids that nobody looked at may be too large for 32 bits.
        dtype = torch.int64 if is_guarded else torch.int32
        if self._is_one_graph(bucket):
            block = stage(batch_sizes, _if_on_host(ids), bucket, dtype, pin=self._is_cuda)

            def body(inputs: Tensor) -> Tensor:
                return self._body(table, cut(inputs, bucket, dtype), is_guarded=is_guarded)

            return self.graphs.run(
                (*bucket, is_guarded),
                len(block),
                partial(_fill, block=block, ids=ids, size=bucket, dtype=dtype),
                body,
                partial(_taken, size=size, order=order),
            )
        inputs = self._inputs(ids, batch_sizes, size, dtype)
        return _ordered(self._body(table, inputs, is_guarded=is_guarded), order)

    def _is_one_graph(self, bucket: Size) -> bool:
        gathered = bucket.steps * bucket.sequences if isinstance(self._body.pooling, AttentionPooling) else 0
        return all(number <= most for number, most in zip(bucket, MOST, strict=True)) and gathered <= MOST_GATHERED

    def _inputs(self, ids: Tensor, batch_sizes: Tensor, size: Size, dtype: torch.dtype) -> Inputs:
        """Send a batch of exactly this size; ids that are on the device stay where they are, of the dtype they have."""
        block = stage(batch_sizes, _if_on_host(ids), size, dtype, pin=self._is_cuda)
        if _if_on_host(ids) is not None:
            return cut(block.to(self._device, non_blocking=True), size, dtype)
        _, start = block_bytes(size, dtype)
        layout = torch.empty(len(block), dtype=torch.uint8, device=self._device)
        layout[:start].copy_(block[:start], non_blocking=True)
        return cut(layout, size, dtype)._replace(ids=ids.contiguous())

    def _on_demand(self, gates: TokenGates, ids: Tensor, batch_sizes: Tensor, size: Size) -> Tensor:
        ids = self._sent(ids)
        table, rows = gates.of(ids)  # waits for the device, to know how many tokens there are
        return self._body(table, self._inputs(rows, batch_sizes, size, rows.dtype), is_guarded=False)

    def _sent(self, tensor: Tensor) -> Tensor:
        if self._is_cuda and tensor.device.type == "cpu":
            tensor = tensor.contiguous().pin_memory()
        return tensor.to(self._device, non_blocking=True)


def _if_on_host(ids: Tensor) -> Tensor | None:
    return ids if ids.device.type == "cpu" else None


def _fill(inputs: Tensor, *, block: Tensor, ids: Tensor, size: Size, dtype: torch.dtype) -> None:
    """Write a staged block into static inputs, and ids from where they are."""
    if _if_on_host(ids) is not None:
        inputs.copy_(block, non_blocking=True)
        return
    _, start = block_bytes(size, dtype)
    inputs[:start].copy_(block[:start], non_blocking=True)
    cut(inputs, size, dtype).ids[: len(ids)].copy_(ids)


def _ordered(embeddings: Tensor, order: Tensor | None) -> Tensor:
    return embeddings if order is None else embeddings.index_select(0, order)


def _taken(embeddings: Tensor, size: Size, order: Tensor | None) -> Tensor:
    """Return the embeddings of the sequences that there are, in the caller's order, in memory of their own."""
    return embeddings[: size.sequences].clone() if order is None else embeddings.index_select(0, order)
