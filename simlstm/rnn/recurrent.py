"""Recurrent: what LSTM, GRU and RNN share, which is everything but the recurrence."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from simlstm.rnn.precision import product_dtype
from simlstm.rnn.walk import PackedWalk


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

    def _run_layer(
        self, layer: int, x: Tensor, walk: PackedWalk, states: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
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

    def _forward(
        self, input: Tensor | PackedSequence, states: Sequence[Tensor] | None
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, ...]]:
        """Run every layer over every sequence.

        Args:
            input: a PackedSequence with data [N, I]; or [T, B, I] ([B, T, I] when batch_first); or [T, I].
            states: initial states [L * directions, B, width], without B for [T, I]; zeros when None.

        Returns:
            tuple: the last layer's h for every step, in the layout of the input, and the final states.
        """
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, states)
        return self._forward_padded(input, states)

    def _forward_packed(
        self, input: PackedSequence, states: Sequence[Tensor] | None
    ) -> tuple[PackedSequence, tuple[Tensor, ...]]:
        data, batch_sizes, sorted_indices, unsorted_indices = input
        self.check_input(data, batch_sizes)
        walk = PackedWalk(tuple(batch_sizes.tolist()), data.device)
        if walk.rows != data.shape[0]:
            raise ValueError(f"batch_sizes must sum to the {data.shape[0]} packed rows, got a sum of {walk.rows}")
        initial = self._initial_states(data, walk.sequences, states)
        y, final = self._run(data, walk, _permuted(initial, sorted_indices))
        output = PackedSequence(y, batch_sizes, sorted_indices, unsorted_indices)
        return output, _permuted(final, unsorted_indices)

    def _forward_padded(self, input: Tensor, states: Sequence[Tensor] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        if input.dim() not in (2, 3):
            # torch.nn.RNN's modes are RNN_TANH and RNN_RELU, but it calls itself RNN here.
            name = self.mode.partition("_")[0]
            raise ValueError(f"{name}: Expected input to be 2D or 3D, got {input.dim()}D instead")
        is_batched = input.dim() == 3
        batch_dim = 0 if self.batch_first else 1
        x = input if is_batched else input.unsqueeze(batch_dim)
        self.check_input(x, None)
        if states is not None:
            states = _with_batch_dim(states, is_batched)
        initial = self._initial_states(x, x.shape[batch_dim], states)
        if self.batch_first:
            x = x.transpose(0, 1)
        steps, sequences, _ = x.shape  # [T, B, I]
        if steps == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        walk = PackedWalk((sequences,) * steps, x.device)
        # torch's padded path gives autocast's dtype, its packed path on the CPU that of the states; so do we.
        dtype = product_dtype(x)
        y, final = self._run(x.flatten(0, 1), walk, initial)
        y = y.to(dtype).view(steps, sequences, y.shape[1])
        final = tuple(state.to(dtype) for state in final)
        if self.batch_first:
            y = y.transpose(0, 1)
        if is_batched:
            return y, final
        return y.squeeze(batch_dim), tuple(state.squeeze(1) for state in final)

    def _initial_states(self, x: Tensor, sequences: int, states: Sequence[Tensor] | None) -> tuple[Tensor, ...]:
        count = self.num_layers * (2 if self.bidirectional else 1)
        sizes = [(count, sequences, width) for width in self._state_widths()]
        if states is None:
            return tuple(x.new_zeros(size) for size in sizes)
        names = ["hidden"] if len(sizes) == 1 else [f"hidden[{index}]" for index in range(len(sizes))]
        for state, name, size in zip(states, names, sizes, strict=True):
            self.check_hidden_size(state, size, f"Expected {name} size {{}}, got {{}}")
        for state, name in zip(states, names, strict=True):
            if state.dtype != x.dtype and product_dtype(x) == x.dtype:
                raise RuntimeError(f"{name} must have the input's dtype {x.dtype}, got {state.dtype}")
        return tuple(states)

    def _run(self, x: Tensor, walk: PackedWalk, initial: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run the stacked layers over packed rows x [N, I]."""
        if self.num_layers == 1:
            return self._run_layer(0, x, walk, initial)
        directions = 2 if self.bidirectional else 1
        by_layer = zip(*(torch.split(state, directions) for state in initial), strict=True)
        final = []
        for layer, states in enumerate(by_layer):
            if layer > 0 and self.dropout > 0:
                x = F.dropout(x, self.dropout, self.training)
            x, states = self._run_layer(layer, x, walk, states)
            final.append(states)
        return x, tuple(torch.cat(states) for states in zip(*final, strict=True))

    def _layer_weights(self, layer: int) -> list[list[Tensor]]:
        """Return the parameters of each direction of a layer, without those that are switched off."""
        directions = 2 if self.bidirectional else 1
        names = self._all_weights[layer * directions : (layer + 1) * directions]
        return [[self._weight(name) for name in direction] for direction in names]

    def _weight(self, name: str) -> Tensor:
        return cast(Tensor, getattr(self, name))


def _permuted(states: tuple[Tensor, ...], permutation: Tensor | None) -> tuple[Tensor, ...]:
    return states if permutation is None else tuple(state.index_select(1, permutation) for state in states)


def _with_batch_dim(states: Sequence[Tensor], is_batched: bool) -> Sequence[Tensor]:
    dims, kind = (3, "batched 3-D") if is_batched else (2, "unbatched 2-D")
    if any(state.dim() != dims for state in states):
        got = ", ".join(f"{state.dim()}-D" for state in states)
        names, got = ("hx", f"{got} tensor") if len(states) == 1 else ("hx and cx", f"({got}) tensors")
        raise RuntimeError(f"For {kind} input, {names} should also be {dims}-D but got {got}")
    return states if is_batched else [state.unsqueeze(1) for state in states]
