"""OneState: what the modules GRU and RNN share, whose steps hand on h alone."""

from functools import partial
from types import MappingProxyType
from typing import overload

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from simlstm.rnn.backends.one_state.gated import GatedRecurrence
from simlstm.rnn.backends.one_state.plain import PlainRecurrence
from simlstm.rnn.backends.one_state.recurrence import Recurrence
from simlstm.rnn.device_walk import DeviceWalk
from simlstm.rnn.dispatch import one_state_layer
from simlstm.rnn.layouts import States
from simlstm.rnn.operator import LayerOperator
from simlstm.rnn.recurrent import Input, Recurrent
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights

RECURRENCES: MappingProxyType[str, Recurrence] = MappingProxyType(
    {"GRU": GatedRecurrence(), "RNN_TANH": PlainRecurrence("tanh"), "RNN_RELU": PlainRecurrence("relu")}
)


def _run(
    recurrence: Recurrence, x: Tensor, walk: PackedWalk, states: States, weights: list[list[Tensor]]
) -> tuple[Tensor, Tensor]:
    return one_state_layer(recurrence, x, walk, states[0], [DirectionWeights.of(direction) for direction in weights])


_OPERATORS = {
    mode: LayerOperator(f"{mode.lower()}_layer", partial(_run, recurrence), states=1).overload
    for mode, recurrence in RECURRENCES.items()
}


class OneState(Recurrent):
    """Stacked recurrent layers with one state, of the recurrence that torch.nn.RNNBase's ``mode`` names."""

    @overload
    def forward(self, input: PackedSequence, hx: Tensor | None = None) -> tuple[PackedSequence, Tensor]: ...
    @overload
    def forward(self, input: Tensor | tuple[Tensor, Tensor], hx: Tensor | None = None) -> tuple[Tensor, Tensor]: ...

    def forward(self, input: Input, hx: Tensor | None = None) -> tuple[Tensor | PackedSequence, Tensor]:
        """Run every layer over every sequence.

        Args:
            input: a PackedSequence with data [N, I]; or [T, B, I] ([B, T, I] when batch_first); or [T, I]; or
                (x, lengths) with x [T, B, I] ([B, T, I] when batch_first) and lengths [B] int64, in any order, from 0
                to T, on the CPU or on the device of x, which is waited for.
            hx: h0 [L * directions, B, H], without B for [T, I]; zeros by default.

        Returns:
            tuple: the last layer's h for every step, in the layout of the input, zeros behind each length; and hT in
            the layout of hx, of a sequence without a step its h0.

        Raises:
            ValueError: the input's dtype or number of dimensions is wrong (torch's messages); batch_sizes do not
                describe the packed rows; or lengths are not int64 on the CPU or on the device of x, not B, or not
                between 0 and T.
            RuntimeError: a size does not fit; torch's messages.
        """
        output, (hT,) = self._forward(input, None if hx is None else (hx,))
        return output, hT

    def _state_widths(self) -> tuple[int, ...]:
        return (self.hidden_size,)

    def _operator(self, lengths: Tensor | None = None) -> torch._ops.OpOverload:
        return _OPERATORS[self.mode]

    def _run_layer(self, layer: int, x: Tensor, walk: PackedWalk | DeviceWalk, states: States) -> tuple[Tensor, States]:
        assert isinstance(walk, PackedWalk)  # noqa: S101 - lengths on the device were not asked for
        y, hT = _run(RECURRENCES[self.mode], x, walk, states, self._layer_weights(layer))
        return y, (hT,)
