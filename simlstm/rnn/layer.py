"""LSTM: torch.nn.LSTM's face over our own recurrence."""

from typing import overload

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from simlstm.rnn.dispatch import lstm_layer
from simlstm.rnn.layouts import States
from simlstm.rnn.operator import LayerOperator
from simlstm.rnn.recurrent import Input, Recurrent
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights

LSTMStates = tuple[Tensor, Tensor]


def _run(x: Tensor, walk: PackedWalk, states: States, weights: list[list[Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    h0, c0 = states
    return lstm_layer(x, walk, h0, c0, [DirectionWeights.of(direction) for direction in weights])


_OPERATOR = LayerOperator("lstm_layer", _run, states=2).overload


class LSTM(Recurrent):
    """A long short-term memory network: torch.nn.LSTM's arguments, state_dict, errors and results.

    Args:
        input_size: I, the width of the input.
        hidden_size: H, the width of the cell state of one direction.
        num_layers: L, layers stacked on one another.
        bias: whether to learn b_ih and b_hh.
        batch_first: whether padded input and output are [B, T, *] instead of [T, B, *].
        dropout: probability of zeroing an element of the output of each layer but the last, in training.
        bidirectional: whether a second direction reads each sequence backward.
        proj_size: P, when positive the width to which h is projected (Sak et al. 2014, https://arxiv.org/abs/1402.1128).
        device: where the parameters live.
        dtype: of the parameters.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device=device,
            dtype=dtype,
        )

    @overload
    def forward(self, input: PackedSequence, hx: LSTMStates | None = None) -> tuple[PackedSequence, LSTMStates]: ...
    @overload
    def forward(
        self, input: Tensor | tuple[Tensor, Tensor], hx: LSTMStates | None = None
    ) -> tuple[Tensor, LSTMStates]: ...

    def forward(self, input: Input, hx: LSTMStates | None = None) -> tuple[Tensor | PackedSequence, LSTMStates]:
        """Run every layer over every sequence.

        Args:
            input: a PackedSequence with data [N, I]; or [T, B, I] ([B, T, I] when batch_first); or [T, I]; or
                (x, lengths) with x [T, B, I] ([B, T, I] when batch_first) and lengths [B] int64 on the CPU, in any
                order, from 0 to T.
            hx: h0 [L * directions, B, P or H] and c0 [L * directions, B, H], without B for [T, I]; zeros by default.

        Returns:
            tuple: the last layer's h for every step, in the layout of the input, zeros behind each length; and
            (hT, cT) in the layout of hx, of a sequence without a step its (h0, c0).

        Raises:
            ValueError: the input's dtype or number of dimensions is wrong (torch.nn.LSTM's messages); batch_sizes do
                not describe the packed rows; or lengths are not int64 on the CPU, not B, or not between 0 and T.
            RuntimeError: a size does not fit; torch.nn.LSTM's messages.
        """
        if hx is not None and len(hx) != 2:
            raise RuntimeError("lstm expects two hidden states")
        output, (hT, cT) = self._forward(input, hx)
        return output, (hT, cT)

    def _state_widths(self) -> tuple[int, ...]:
        return self.proj_size or self.hidden_size, self.hidden_size

    def _operator(self) -> torch._ops.OpOverload:
        return _OPERATOR

    def _run_layer(self, layer: int, x: Tensor, walk: PackedWalk, states: States) -> tuple[Tensor, States]:
        y, *final = _run(x, walk, states, self._layer_weights(layer))
        return y, tuple(final)
