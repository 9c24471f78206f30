"""A frozen LSTM layer in the native kernels; the face is :class:`simlstm.rnn.backends.frozen_layer.FrozenLayer`."""

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from simlstm.rnn.backends.frozen_layer import Precision, RunResult
from simlstm.rnn.backends.native.library import kernels
from simlstm.rnn.backends.native.memory import empty, is_plain
from simlstm.rnn.backends.native.structures import DirectionPointers, FoldCall, FrozenCall, Layout

_NUMBERS: dict[Precision, int] = {"float32": 0, "bfloat16": 1, "int8": 2}


def available() -> bool:
    """Return whether the native kernels are in use here."""
    return kernels() is not None


class FrozenRecurrence:
    """A ``FrozenLayer`` in the native kernels: a sentence gets the same bits whatever it is batched with.

    Packed for the instruction set in use when it was made, and run by it. Where the processor has no instructions for
    bfloat16 or int8, the same rounded values are multiplied in float32. In low precision sigmoid and tanh have an
    absolute error of up to 2e-4, which is below the rounding of h.

    Args:
        w_hh: for each direction float32 [4H, H] on the CPU, gates in torch's order; copied.
        precision: of the products with h.

    Attributes:
        hidden_size: H.
        directions: D.
        precision: as given.

    Raises:
        RuntimeError: there are no native kernels; ask ``available()`` first.
        ValueError: the weights' shapes do not fit. So do ``fold`` and ``run`` when what they are given does not; the
            values of ids are the caller's to check.
    """

    def __init__(self, w_hh: Sequence[Tensor], precision: Precision) -> None:
        chosen = kernels()
        if chosen is None:
            raise RuntimeError("the native kernels are not available here")
        self._kernels = chosen
        self.hidden_size: int = w_hh[0].shape[1]
        self.directions = len(w_hh)
        self.precision = precision
        self._gate_width = 4 * -(-self.hidden_size // chosen.lanes) * chosen.lanes
        number = _NUMBERS[precision]
        size = chosen.functions.simlstm_frozen_bytes(chosen.number, self.hidden_size, number)
        self._packed = torch.empty(self.directions, size, dtype=torch.uint8, device="cpu")
        shape = (4 * self.hidden_size, self.hidden_size)
        if any(weights.shape != shape for weights in w_hh):
            raise ValueError(f"w_hh must be {shape} for each direction, got {[tuple(w.shape) for w in w_hh]}")
        for packed, weights in zip(self._packed, w_hh, strict=True):
            source = weights.detach().to(torch.float32).contiguous()
            chosen.functions.simlstm_frozen_pack(
                chosen.number, source.data_ptr(), self.hidden_size, number, packed.data_ptr()
            )

    def fold(self, rows: Tensor, w_ih: Sequence[Tensor], bias: Sequence[Tensor]) -> Tensor:
        """See ``FrozenLayer.fold``; the table is [V, D * G], G = 4H with H rounded up to whole vectors."""
        width, gates = rows.shape[-1], 4 * self.hidden_size
        fits = len(w_ih) == len(bias) == self.directions and is_plain(rows.detach(), (rows.shape[0], width))
        if not fits or not all(
            is_plain(w.detach(), (gates, width)) and is_plain(b.detach(), (gates,))
            for w, b in zip(w_ih, bias, strict=True)
        ):
            raise ValueError(
                f"fold needs float32 CPU tensors rows [V, I] and, for each of {self.directions} directions, w_ih "
                f"[{gates}, I] and bias [{gates}], got {[tuple(t.shape) for t in (rows, *w_ih, *bias)]}"
            )
        rows = rows.detach().contiguous()
        dtype = torch.float32 if self.precision == "float32" else torch.bfloat16
        table = torch.empty(rows.shape[0], self.directions * self._gate_width, dtype=dtype, device="cpu")
        call = FoldCall(
            threads=torch.get_num_threads(),
            directions=self.directions,
            rows=rows.shape[0],
            input_size=rows.shape[1],
            hidden_size=self.hidden_size,
            precision=_NUMBERS[self.precision],
            x=rows.data_ptr(),
            x_stride=rows.shape[1],
            table=table.data_ptr(),
        )
        alive = [(w.detach().contiguous(), b.detach().contiguous()) for w, b in zip(w_ih, bias, strict=True)]
        for direction, (w, b) in enumerate(alive):
            call.weights[direction] = DirectionPointers(w_ih=w.data_ptr(), b_ih=b.data_ptr())
        self._kernels.run("simlstm_fold", call)
        return table

    def run(
        self,
        table: Tensor,
        ids: Tensor | None,
        batch_sizes: Sequence[int],
        *,
        rows: bool,
        maximum: bool,
        total: bool,
        last: bool,
    ) -> RunResult:
        """See ``FrozenLayer.run``."""
        count, sequences, width = sum(batch_sizes), batch_sizes[0], self.directions * self.hidden_size
        dtype = torch.float32 if self.precision == "float32" else torch.bfloat16
        if (
            table.dtype is not dtype
            or table.dim() != 2
            or table.shape[1] != self.directions * self._gate_width
            or not table.is_contiguous()
            or (len(table) if ids is None else ids.numel()) != count
        ):
            raise ValueError(
                f"run needs {count} ids and a {dtype} table [V, {self.directions * self._gate_width}] made by fold, "
                f"got {table.dtype} {tuple(table.shape)} and {None if ids is None else ids.numel()} ids"
            )
        ids = None if ids is None else ids.to(torch.int64).contiguous()
        result = RunResult(
            rows=empty(count, width) if rows else None,
            maximum=empty(sequences, width) if maximum else None,
            total=empty(sequences, width) if total else None,
            last=empty(sequences, width) if last else None,
        )
        call = FrozenCall(
            layout=Layout(
                threads=torch.get_num_threads(),
                directions=self.directions,
                steps=len(batch_sizes),
                rows=count,
                sequences=sequences,
                hidden_size=self.hidden_size,
                batch_sizes=(ctypes.c_int64 * len(batch_sizes))(*batch_sizes),
            ),
            precision=_NUMBERS[self.precision],
            packed=self._packed.data_ptr(),
            table=table.data_ptr(),
            ids=None if ids is None else ids.data_ptr(),
        )
        call.y, call.maximum, call.total, call.last = (
            None if tensor is None else tensor.data_ptr() for tensor in result
        )
        self._kernels.run("simlstm_frozen", call)
        return result
