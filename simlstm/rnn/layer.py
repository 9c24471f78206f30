"""LSTM: torch.nn.LSTM's face over our own recurrence."""

from collections.abc import Sequence
from functools import partial
from typing import overload

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from simlstm.rnn import shortcut
from simlstm.rnn.backends import differentiable
from simlstm.rnn.backends.cuda import presence
from simlstm.rnn.device_walk import DeviceWalk
from simlstm.rnn.dispatch import lstm_layer
from simlstm.rnn.graph_layouts import WalkAtRuntime
from simlstm.rnn.layouts import States
from simlstm.rnn.noise import NoiseRates, draw
from simlstm.rnn.operator import LayerOperator
from simlstm.rnn.precision import gate_dtype, in_dtype, product_dtype
from simlstm.rnn.recurrent import Input, Recurrent
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights

LSTMStates = tuple[Tensor, Tensor]


def _run(
    x: Tensor, walk: PackedWalk | DeviceWalk, states: States, weights: list[list[Tensor]]
) -> tuple[Tensor, Tensor, Tensor]:
    h0, c0 = states
    return lstm_layer(x, walk, h0, c0, [DirectionWeights.of(direction) for direction in weights])


def _run_with_cells(
    x: Tensor,
    walk: PackedWalk,
    states: States,
    weights: list[list[Tensor]],
    seed: Tensor | None = None,
    *rates: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    h0, c0 = states
    noise = draw(NoiseRates(*rates), seed, h0, c0, walk.rows, gate_dtype(x.dtype))
    named = [DirectionWeights.of(direction) for direction in weights]
    return differentiable.lstm_layer_with_cells(in_dtype(x, product_dtype(x)), walk, h0, c0, named, noise)


_OPERATOR = LayerOperator("lstm_layer", _run, states=2).overload
# The same, for lengths on the device: nothing in it looks at them on the host, so that a CUDA graph can hold it.
_OPERATOR_ON_DEVICE = LayerOperator("lstm_layer_on_device", _run, states=2, takes_lengths_on_device=True).overload
_OPERATOR_WITH_CELLS = LayerOperator(
    "lstm_layer_with_cells",
    _run_with_cells,
    states=2,
    rows=2,
    further=["Tensor? seed", *(f"float {rate}" for rate in NoiseRates._fields)],
).overload


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
        recurrent_dropout: probability of zeroing an element of h before the recurrent product, in training: for a whole
            sequence in one layer and direction, or not at all (Gal and Ghahramani 2016,
            https://arxiv.org/abs/1512.05287).
        zoneout_h: probability of an element of h staying at a step what it was at the step before, in training; in
            evaluation h moves by as much as is expected (Krueger et al. 2017, https://arxiv.org/abs/1606.01305).
        zoneout_c: the same of c.

    Raises:
        ValueError: an argument is out of range.
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
        *,
        recurrent_dropout: float = 0.0,
        zoneout_h: float = 0.0,
        zoneout_c: float = 0.0,
    ) -> None:
        NoiseRates(recurrent_dropout, zoneout_h, zoneout_c).check()
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
        self.recurrent_dropout = recurrent_dropout
        self.zoneout_h = zoneout_h
        self.zoneout_c = zoneout_c

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
                (x, lengths) with x [T, B, I] ([B, T, I] when batch_first) and lengths [B] int64, in any order, from 0
                to T, on the CPU or on the device of x. On a CUDA device, where nobody waits to read them, one below 0
                counts as 0, and one beyond T as T.
            hx: h0 [L * directions, B, P or H] and c0 [L * directions, B, H], without B for [T, I]; zeros by default.

        Returns:
            tuple: the last layer's h for every step, in the layout of the input, zeros behind each length; and
            (hT, cT) in the layout of hx, of a sequence without a step its (h0, c0).

        Raises:
            ValueError: the input's dtype or number of dimensions is wrong (torch.nn.LSTM's messages); batch_sizes do
                not describe the packed rows; or lengths are not int64 on the CPU or on the device of x, not B, or
                not between 0 and T.
            RuntimeError: a size does not fit; torch.nn.LSTM's messages.
        """
        if hx is None and isinstance(input, PackedSequence) and not self._is_noisy():
            result = shortcut.infer(self, input)
            if result is not None:
                return result
        output, (hT, cT) = self._forward(input, self._checked(hx))
        return output, (hT, cT)

    @overload
    def forward_with_cells(
        self, input: PackedSequence, hx: LSTMStates | None = None
    ) -> tuple[PackedSequence, LSTMStates, tuple[PackedSequence, ...]]: ...
    @overload
    def forward_with_cells(
        self, input: Tensor | tuple[Tensor, Tensor], hx: LSTMStates | None = None
    ) -> tuple[Tensor, LSTMStates, tuple[Tensor, ...]]: ...

    def forward_with_cells(
        self, input: Input, hx: LSTMStates | None = None
    ) -> tuple[Tensor | PackedSequence, LSTMStates, tuple[Tensor | PackedSequence, ...]]:
        """Do what :meth:`forward` does, and return every c as well; differentiable to any order.

        It runs step by step in torch operations: slower than :meth:`forward`, whose kernels keep no c for the caller.

        Args:
            input: as in :meth:`forward`.
            hx: as in :meth:`forward`.

        Returns:
            tuple: the output and (hT, cT), as :meth:`forward` returns them, and for each layer, first layer first, its
            c after every step, in the layout of the output with directions * H columns.

        Raises:
            ValueError: as in :meth:`forward`.
            RuntimeError: as in :meth:`forward`.
        """
        if isinstance(input, tuple) and not isinstance(input, PackedSequence):
            x, lengths = input  # every c is kept by a walk that the host takes
            input = (x, lengths.to("cpu") if isinstance(lengths, Tensor) else lengths)
        layout, initial = self._prepare(input, self._checked(hx))
        cells: list[Tensor] = []
        y, (hT, cT) = self._run(layout, initial, partial(self._run_one_keeping, cells))
        hT, cT = layout.restored((hT, cT), initial)
        return layout.output(y), (hT, cT), tuple(layout.output(of_layer) for of_layer in cells)

    def extra_repr(self) -> str:
        """Return torch's text, and the rates that are not 0."""
        rates = [f"{name}={rate}" for name, rate in self._noise_rates()._asdict().items() if rate > 0]
        return ", ".join([super().extra_repr(), *rates])

    def _checked(self, hx: LSTMStates | None) -> LSTMStates | None:
        if hx is not None and len(hx) != 2:
            raise RuntimeError("lstm expects two hidden states")
        return hx

    def _run_one(
        self, layer: int, x: Tensor, walk: PackedWalk | DeviceWalk | WalkAtRuntime, states: States
    ) -> tuple[Tensor, States]:
        if not self._is_noisy():
            return super()._run_one(layer, x, walk, states)
        y, _, *final = self._run_with_cells(layer, x, walk, states)
        return y, tuple(final)

    def _run_one_keeping(
        self, cells: list[Tensor], layer: int, x: Tensor, walk: PackedWalk | DeviceWalk | WalkAtRuntime, states: States
    ) -> tuple[Tensor, States]:
        y, of_layer, *final = self._run_with_cells(layer, x, walk, states)
        cells.append(of_layer)
        return y, tuple(final)

    def _is_noisy(self) -> bool:
        """Return whether the recurrence is another than the plain one: zoneout's is, even in evaluation."""
        return self.zoneout_h > 0 or self.zoneout_c > 0 or (self.training and self.recurrent_dropout > 0)

    def _noise_rates(self) -> NoiseRates:
        return NoiseRates(self.recurrent_dropout, self.zoneout_h, self.zoneout_c)

    def _run_with_cells(
        self, layer: int, x: Tensor, walk: PackedWalk | DeviceWalk | WalkAtRuntime, states: States
    ) -> Sequence[Tensor]:
        seed, rates = None, NoiseRates()
        if self._is_noisy():
            rates = self._noise_rates()
            seed = torch.randint(2**63 - 1, (), device="cpu") if self.training else None
        assert not isinstance(walk, DeviceWalk)  # noqa: S101 - noise and cells take none
        if isinstance(walk, PackedWalk):
            return _run_with_cells(x, walk, states, self._layer_weights(layer), seed, *rates)
        return self._apply_operator(_OPERATOR_WITH_CELLS, layer, x, walk, states, seed, *rates)

    def _state_widths(self) -> tuple[int, ...]:
        return self.proj_size or self.hidden_size, self.hidden_size

    def _takes_lengths_on_device(self) -> bool:
        return not self._is_noisy()

    def _operator(self, lengths: Tensor | None = None) -> torch._ops.OpOverload:
        if lengths is None or lengths.device.type == "cpu" or self.proj_size > 0:
            return _OPERATOR
        # Where the kernels are not, lengths are read.
        weight = self._weight("weight_ih_l0")
        return _OPERATOR_ON_DEVICE if presence.serves(weight) and weight.dtype != torch.float64 else _OPERATOR

    def _run_layer(self, layer: int, x: Tensor, walk: PackedWalk | DeviceWalk, states: States) -> tuple[Tensor, States]:
        y, *final = _run(x, walk, states, self._layer_weights(layer))
        return y, tuple(final)
