"""Recurrent: what LSTM, GRU and RNN share, which is everything but the recurrence."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from simlstm.rnn.layouts import Layout, PackedLayout, PaddedLayout, RaggedLayout, States, UnbatchedLayout
from simlstm.rnn.precision import product_dtype
from simlstm.rnn.walk import PackedWalk

Input = Tensor | PackedSequence | tuple[Tensor, Tensor]


class Recurrent(nn.RNNBase):
    """Stacked recurrent layers with torch.nn.RNNBase's arguments, state_dict, inputs, errors and results.

    A step hands one state to the next (h of GRU and RNN) or two (h and c of LSTM). Here they are always a tuple, h
    first; what a caller sees is up to the subclass, which wraps :meth:`_forward` and supplies the recurrence:
    :meth:`_state_widths` and :meth:`_run_layer`.
    """

    def flatten_parameters(self) -> None:
        """Do nothing: torch joins its weights for cuDNN here; ours are read where they are."""

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Refuse input of the wrong dtype, number of dimensions or width, in torch.nn.RNNBase's words.

        Args:
            input: packed rows [N, I], or [T, B, I].
            batch_sizes: [T] of packed rows, None for padded input.

        Raises:
            ValueError: the dtype is not that of the weights, and no autocast brings them together.
            RuntimeError: the number of dimensions or the width is wrong.
        """
        # torch's own looks into a list of weights that has to be kept up to date, which takes longer than all this.
        weight_dtype = self._weight("weight_ih_l0").dtype
        if input.dtype != weight_dtype and not torch._C._is_any_autocast_enabled():
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({weight_dtype}). "
                f"Convert input: input.to({weight_dtype}), or convert model: model.to({input.dtype})"
            )
        dims = 3 if batch_sizes is None else 2
        if input.dim() != dims:
            raise RuntimeError(f"input must have {dims} dimensions, got {input.dim()}")
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.shape[-1]}"
            )

    def _state_widths(self) -> tuple[int, ...]:
        """Return the width of each state, h first."""
        raise NotImplementedError

    def _run_layer(self, layer: int, x: Tensor, walk: PackedWalk, states: States) -> tuple[Tensor, States]:
        """Run one layer over packed rows.

        Args:
            layer: which of the L layers.
            x: [N, I], the input of this layer.
            walk: the layout of the rows.
            states: initial states [directions, B, width], sequences in packed order.

        Returns:
            tuple: y [N, directions * P] and the final states, as ``states``.
        """
        raise NotImplementedError

    def _forward(self, input: Input, states: Sequence[Tensor] | None) -> tuple[Tensor | PackedSequence, States]:
        """Run every layer over every sequence.

        Args:
            input: a PackedSequence with data [N, I]; [T, B, I] ([B, T, I] when batch_first), alone or in a tuple with
                lengths [B] int64 on the CPU; or [T, I].
            states: initial states [L * directions, B, width], without B for [T, I]; zeros when None.

        Returns:
            tuple: the last layer's h for every step, in the layout of the input, and the final states.
        """
        layout = self._layout(input)
        initial = self._initial_states(layout, states, is_batched=not isinstance(layout, UnbatchedLayout))
        y, final = self._run(layout, initial)
        return layout.output(y), layout.restored(final, initial)

    def _layout(self, input: Input) -> Layout:
        """Check the input and bring it to packed rows."""
        if isinstance(input, PackedSequence):
            self.check_input(input.data, input.batch_sizes)
            return PackedLayout(input)
        # torch's padded path gives autocast's dtype, its packed path on the CPU that of the states; so do we.
        if isinstance(input, tuple):
            x, lengths = input
            self.check_input(x, None)
            return RaggedLayout(x, lengths, self.batch_first, product_dtype(x))
        if input.dim() == 2:
            self.check_input(input.unsqueeze(1), None)
            return UnbatchedLayout(input, product_dtype(input))
        if input.dim() != 3:
            # torch.nn.RNN's modes are RNN_TANH and RNN_RELU, but it calls itself RNN here.
            name = self.mode.partition("_")[0]
            raise ValueError(f"{name}: Expected input to be 2D or 3D, got {input.dim()}D instead")
        self.check_input(input, None)
        return PaddedLayout(input, self.batch_first, product_dtype(input))

    def _initial_states(self, layout: Layout, states: Sequence[Tensor] | None, *, is_batched: bool) -> States:
        count, x = self.num_layers * (2 if self.bidirectional else 1), layout.rows
        sizes = [(count, layout.sequences, width) for width in self._state_widths()]
        if states is None:
            return tuple(x.new_zeros(size) for size in sizes)
        if not isinstance(layout, PackedLayout):
            states = _with_batch_dim(states, is_batched)
        names = ["hidden"] if len(sizes) == 1 else [f"hidden[{index}]" for index in range(len(sizes))]
        for state, name, size in zip(states, names, sizes, strict=True):
            self.check_hidden_size(state, size, f"Expected {name} size {{}}, got {{}}")
        for state, name in zip(states, names, strict=True):
            if state.dtype != x.dtype and product_dtype(x) == x.dtype:
                raise RuntimeError(f"{name} must have the input's dtype {x.dtype}, got {state.dtype}")
        return tuple(states)

    def _run(self, layout: Layout, initial: States) -> tuple[Tensor, States]:
        """Run the stacked layers over packed rows; return y [N, directions * P] and final states in packed order."""
        x, walk = layout.rows, layout.walk
        states = layout.arranged(initial)
        if self.num_layers == 1:
            return self._run_layer(0, x, walk, states)
        directions = 2 if self.bidirectional else 1
        final = []
        for layer, of_layer in enumerate(zip(*(torch.split(state, directions) for state in states), strict=True)):
            if layer > 0 and self.dropout > 0:
                x = F.dropout(x, self.dropout, self.training)
            x, last = self._run_layer(layer, x, walk, of_layer)
            final.append(last)
        return x, tuple(torch.cat(of_layers) for of_layers in zip(*final, strict=True))

    def _layer_weights(self, layer: int) -> list[list[Tensor]]:
        """Return the parameters of each direction of a layer, without those that are switched off."""
        directions = 2 if self.bidirectional else 1
        names = self._all_weights[layer * directions : (layer + 1) * directions]
        return [[self._weight(name) for name in direction] for direction in names]

    def _weight(self, name: str) -> Tensor:
        return cast(Tensor, getattr(self, name))


def _with_batch_dim(states: Sequence[Tensor], is_batched: bool) -> Sequence[Tensor]:
    dims, kind = (3, "batched 3-D") if is_batched else (2, "unbatched 2-D")
    if any(state.dim() != dims for state in states):
        got = ", ".join(f"{state.dim()}-D" for state in states)
        names, got = ("hx", f"{got} tensor") if len(states) == 1 else ("hx and cx", f"({got}) tensors")
        raise RuntimeError(f"For {kind} input, {names} should also be {dims}-D but got {got}")
    return states if is_batched else [state.unsqueeze(1) for state in states]
