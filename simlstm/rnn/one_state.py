"""OneState: what the modules GRU and RNN share, whose steps hand on h alone."""

from types import MappingProxyType
from typing import overload

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from simlstm.rnn.backends.one_state.gated import GatedRecurrence
from simlstm.rnn.backends.one_state.plain import PlainRecurrence
from simlstm.rnn.backends.one_state.recurrence import Recurrence
from simlstm.rnn.dispatch import one_state_layer
from simlstm.rnn.layouts import States
from simlstm.rnn.recurrent import Input, Recurrent
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights

RECURRENCES: MappingProxyType[str, Recurrence] = MappingProxyType(
    {"GRU": GatedRecurrence(), "RNN_TANH": PlainRecurrence("tanh"), "RNN_RELU": PlainRecurrence("relu")}
)


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
                (x, lengths) with x [T, B, I] ([B, T, I] when batch_first) and lengths [B] int64 on the CPU, in any
                order, from 0 to T.
            hx: h0 [L * directions, B, H], without B for [T, I]; zeros by default.

        Returns:
            tuple: the last layer's h for every step, in the layout of the input, zeros behind each length; and hT in
            the layout of hx, of a sequence without a step its h0.

        Raises:
            ValueError: the input's dtype or number of dimensions is wrong (torch's messages); batch_sizes do not
                describe the packed rows; or lengths are not int64 on the CPU, not B, or not between 0 and T.
            RuntimeError: a size does not fit; torch's messages.
        """
        output, (hT,) = self._forward(input, None if hx is None else (hx,))
        return output, hT

    def _state_widths(self) -> tuple[int, ...]:
        return (self.hidden_size,)

    def _run_layer(self, layer: int, x: Tensor, walk: PackedWalk, states: States) -> tuple[Tensor, States]:
        weights = [self._direction_weights(*parameters) for parameters in self._layer_weights(layer)]
        y, hT = one_state_layer(RECURRENCES[self.mode], x, walk, states[0], weights)
        return y, (hT,)

    def _direction_weights(self, w_ih: Tensor, w_hh: Tensor, *biases: Tensor) -> DirectionWeights:
        """Name the parameters of one direction."""
        b_ih, b_hh = biases if self.bias else (None, None)
        return DirectionWeights(w_ih, w_hh, b_ih, b_hh, None)
