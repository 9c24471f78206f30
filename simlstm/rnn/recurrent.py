"""Recurrent: what LSTM, GRU and RNN share, which is everything but the recurrence."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from simlstm.rnn import ragged
from simlstm.rnn.device_layout import DeviceLayout
from simlstm.rnn.device_walk import DeviceWalk
from simlstm.rnn.graph_layouts import (
    GraphLayout,
    PackedGraphLayout,
    PaddedGraphLayout,
    UnbatchedGraphLayout,
    WalkAtRuntime,
)
from simlstm.rnn.layouts import Layout, PackedLayout, PaddedLayout, States, UnbatchedLayout
from simlstm.rnn.precision import in_dtype, product_dtype
from simlstm.rnn.walk import PackedWalk

# Runs one of the layers: which, its rows, their walk, and the initial states; returns y and the final states.
RunOne = Callable[[int, Tensor, PackedWalk | DeviceWalk | WalkAtRuntime, States], tuple[Tensor, States]]
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

    def _run_layer(self, layer: int, x: Tensor, walk: PackedWalk | DeviceWalk, states: States) -> tuple[Tensor, States]:
        """Run one layer over packed rows.

        Args:
            layer: which of the L layers.
            x: [N, I], the input of this layer.
            walk: the layout of the rows; a ``DeviceWalk`` only where ``_takes_lengths_on_device``.
            states: initial states [directions, B, width], sequences in the walk's order.

        Returns:
            tuple: y [N, directions * P] and the final states, as ``states``.
        """
        raise NotImplementedError

    def _takes_lengths_on_device(self) -> bool:
        """Return whether ``_run_layer`` takes a ``DeviceWalk``."""
        return False

    def _operator(self, lengths: Tensor | None = None) -> torch._ops.OpOverload | None:
        """Return what one layer over padded rows of given lengths is in a graph.

        When None, torch.compile follows the recurrence step by step.
        """
        return None

    def _forward(self, input: Input, states: Sequence[Tensor] | None) -> tuple[Tensor | PackedSequence, States]:
        """Run every layer over every sequence.

        Args:
            input: a PackedSequence with data [N, I]; [T, B, I] ([B, T, I] when batch_first), alone or in a tuple with
                lengths [B] int64 on the CPU or on the device of the input; or [T, I].
            states: initial states [L * directions, B, width], without B for [T, I]; zeros when None.

        Returns:
            tuple: the last layer's h for every step, in the layout of the input, and the final states.
        """
        layout, initial = self._prepare(input, states)
        y, final = self._run(layout, initial, self._run_one)
        return layout.output(y), layout.restored(final, initial)

    def _prepare(self, input: Input, states: Sequence[Tensor] | None) -> tuple[Layout | GraphLayout, States]:
        """Check everything; return the input as rows, and the initial states in the caller's order."""
        if torch.compiler.is_compiling() and self._operator() is not None:
            layout: Layout | GraphLayout = self._graph_layout(input, states)
        else:
            layout = self._layout(input, states)
        if states is not None and not isinstance(input, PackedSequence):
            states = _with_batch_dim(states, is_batched=isinstance(input, tuple) or input.dim() == 3)
        return layout, self._initial_states(layout, states)

    def _layout(self, input: Input, states: Sequence[Tensor] | None) -> Layout:
        """Bring the input to packed rows."""
        if isinstance(input, PackedSequence):
            self.check_input(input.data, input.batch_sizes)
            return PackedLayout(input)
        x, lengths = input if isinstance(input, tuple) else (input, None)
        is_batched = self._is_batched(x, lengths)
        dtype = self._padded_dtype(x, states)
        if lengths is not None:
            if lengths.device.type != "cpu" and x.numel() > 0 and self._takes_lengths_on_device():
                return DeviceLayout(x, lengths, self.batch_first, dtype)
            return ragged.layout_of(x, lengths, self.batch_first, dtype)
        return PaddedLayout(x, self.batch_first, dtype) if is_batched else UnbatchedLayout(x, dtype)

    def _graph_layout(self, input: Input, states: Sequence[Tensor] | None) -> GraphLayout:
        """Bring the input to what the operator takes."""
        if isinstance(input, PackedSequence):
            self.check_input(input.data, input.batch_sizes)
            return PackedGraphLayout(input, states)
        x, lengths = input if isinstance(input, tuple) else (input, None)
        is_batched = self._is_batched(x, lengths)
        dtype = self._padded_dtype(x, states)
        return PaddedGraphLayout(x, lengths, self.batch_first, dtype) if is_batched else UnbatchedGraphLayout(x, dtype)

    def _is_batched(self, x: Tensor, lengths: Tensor | None) -> bool:
        """Check padded input and return whether it has B."""
        if lengths is None and x.dim() not in (2, 3):
            raise ValueError(f"{self.mode}: Expected input to be 2D or 3D, got {x.dim()}D instead")
        is_batched = lengths is not None or x.dim() == 3
        self.check_input(x if is_batched else x.unsqueeze(1), None)
        if lengths is not None:
            ragged.check_lengths(lengths, x.shape[0 if self.batch_first else 1], x.device)
        return is_batched

    def _padded_dtype(self, x: Tensor, states: Sequence[Tensor] | None) -> torch.dtype:
        """Return the dtype of outputs and final states beside padded input, given the caller's states."""
        # torch's padded LSTM gives autocast's dtype, its packed one on the CPU that of the states; so do we.
        return product_dtype(x)

    def _initial_states(self, layout: Layout | GraphLayout, states: Sequence[Tensor] | None) -> States:
        count, x = self.num_layers * (2 if self.bidirectional else 1), layout.rows
        sizes = [(count, layout.sequences, width) for width in self._state_widths()]
        # On CUDA, autocast gives the whole of torch's layer its dtype, states and results too.
        dtype = product_dtype(x) if x.is_cuda else None
        if states is None:
            return tuple(x.new_zeros(size, dtype=dtype) for size in sizes)
        names = ["hidden"] if len(sizes) == 1 else [f"hidden[{index}]" for index in range(len(sizes))]
        for state, name, size in zip(states, names, sizes, strict=True):
            self.check_hidden_size(state, size, f"Expected {name} size {{}}, got {{}}")
        for state, name in zip(states, names, strict=True):
            if product_dtype(state) != product_dtype(x):
                raise RuntimeError(f"{name} must have the input's dtype {x.dtype}, got {state.dtype}")
        return tuple(states) if dtype is None else tuple(in_dtype(state, dtype) for state in states)

    def _run(self, layout: Layout | GraphLayout, initial: States, run_one: RunOne) -> tuple[Tensor, States]:
        """Run the stacked layers over a layout's rows; return the last one's y and the final states of all."""
        x, walk = layout.rows, layout.walk
        states = layout.arranged(initial)
        if self.num_layers == 1:
            return run_one(0, x, walk, states)
        directions = 2 if self.bidirectional else 1
        final = []
        for layer, of_layer in enumerate(zip(*[torch.split(state, directions) for state in states], strict=True)):
            if layer > 0 and self.dropout > 0:
                x = F.dropout(x, self.dropout, self.training)
            x, last = run_one(layer, x, walk, of_layer)
            final.append(last)
        return x, tuple(torch.cat(of_layers) for of_layers in zip(*final, strict=True))

    def _run_one(
        self, layer: int, x: Tensor, walk: PackedWalk | DeviceWalk | WalkAtRuntime, states: States
    ) -> tuple[Tensor, States]:
        if not isinstance(walk, WalkAtRuntime):
            return self._run_layer(layer, x, walk, states)
        operator = self._operator(walk.lengths)
        assert operator is not None  # noqa: S101 - a graph layout is made for operators only
        y, *final = self._apply_operator(operator, layer, x, walk, states)
        return y, tuple(final)

    def _apply_operator(
        self,
        operator: torch._ops.OpOverload,
        layer: int,
        x: Tensor,
        walk: WalkAtRuntime,
        states: States,
        *further: Any,
    ) -> list[Tensor]:
        weights = [parameter for direction in self._layer_weights(layer) for parameter in direction]
        # When the graph runs, nobody remembers whether autocast was on: x itself has to say.
        x = in_dtype(x, product_dtype(x))
        return list(operator(x, walk.lengths, walk.batch_sizes, *states, weights, *further))

    def _layer_weights(self, layer: int) -> list[list[Tensor]]:
        """Return the parameters of each direction of a layer, without those that are switched off."""
        directions = 2 if self.bidirectional else 1
        names = self._all_weights[layer * directions : (layer + 1) * directions]
        return [[self._weight(name) for name in direction] for direction in names]

    def _weight(self, name: str) -> Tensor:
        # nn.Module finds a parameter only after two searches that fail; one that is computed is no parameter.
        parameter = self._parameters.get(name)
        return cast(Tensor, getattr(self, name)) if parameter is None else parameter


def _with_batch_dim(states: Sequence[Tensor], is_batched: bool) -> Sequence[Tensor]:
    dims, kind = (3, "batched 3-D") if is_batched else (2, "unbatched 2-D")
    if any(state.dim() != dims for state in states):
        got = ", ".join(f"{state.dim()}-D" for state in states)
        names, got = ("hx", f"{got} tensor") if len(states) == 1 else ("hx and cx", f"({got}) tensors")
        raise RuntimeError(f"For {kind} input, {names} should also be {dims}-D but got {got}")
    return states if is_batched else [state.unsqueeze(1) for state in states]
