"""LSTM: torch.nn.LSTM's face over our own recurrence."""

from typing import overload

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from simlstm.rnn.dispatch import lstm_layer
from simlstm.rnn.precision import product_dtype
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights

States = tuple[Tensor, Tensor]


class LSTM(nn.RNNBase):
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
    def forward(self, input: PackedSequence, hx: States | None = None) -> tuple[PackedSequence, States]: ...
    @overload
    def forward(self, input: Tensor, hx: States | None = None) -> tuple[Tensor, States]: ...

    def forward(
        self, input: Tensor | PackedSequence, hx: States | None = None
    ) -> tuple[Tensor | PackedSequence, States]:
        """Run every layer over every sequence.

        Args:
            input: a PackedSequence with data [N, I]; or [T, B, I] ([B, T, I] when batch_first); or [T, I].
            hx: h0 [L * directions, B, P or H] and c0 [L * directions, B, H], without B for [T, I]; zeros by default.

        Returns:
            tuple: the last layer's h for every step, in the layout of the input, and (hT, cT) in that of hx.

        Raises:
            ValueError: the input's dtype or number of dimensions is wrong (torch.nn.LSTM's messages), or batch_sizes
                do not describe the packed rows.
            RuntimeError: a size does not fit; torch.nn.LSTM's messages.
        """
        self._update_flat_weights()
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        return self._forward_padded(input, hx)

    def flatten_parameters(self) -> None:
        """Do nothing: torch.nn.LSTM joins its weights for cuDNN here; ours are read where they are."""

    def _forward_packed(self, input: PackedSequence, hx: States | None) -> tuple[PackedSequence, States]:
        data, batch_sizes, sorted_indices, unsorted_indices = input
        self.check_input(data, batch_sizes)
        walk = PackedWalk(tuple(batch_sizes.tolist()), data.device)
        if walk.rows != data.shape[0]:
            raise ValueError(f"batch_sizes must sum to the {data.shape[0]} packed rows, got a sum of {walk.rows}")
        h0, c0 = self._initial_states(data, walk.sequences, hx)
        y, hT, cT = self._run(data, walk, _permuted(h0, sorted_indices), _permuted(c0, sorted_indices))
        output = PackedSequence(y, batch_sizes, sorted_indices, unsorted_indices)
        return output, (_permuted(hT, unsorted_indices), _permuted(cT, unsorted_indices))

    def _forward_padded(self, input: Tensor, hx: States | None) -> tuple[Tensor, States]:
        if input.dim() not in (2, 3):
            raise ValueError(f"LSTM: Expected input to be 2D or 3D, got {input.dim()}D instead")
        is_batched = input.dim() == 3
        batch_dim = 0 if self.batch_first else 1
        x = input if is_batched else input.unsqueeze(batch_dim)
        self.check_input(x, None)
        if hx is not None:
            hx = _with_batch_dim(hx, is_batched)
        h0, c0 = self._initial_states(x, x.shape[batch_dim], hx)
        if self.batch_first:
            x = x.transpose(0, 1)
        steps, sequences, _ = x.shape  # [T, B, I]
        if steps == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        walk = PackedWalk((sequences,) * steps, x.device)
        # torch's padded path gives autocast's dtype, its packed path on the CPU that of the states; so do we.
        dtype = product_dtype(x)
        y, hT, cT = (tensor.to(dtype) for tensor in self._run(x.flatten(0, 1), walk, h0, c0))
        y = y.view(steps, sequences, y.shape[1])
        if self.batch_first:
            y = y.transpose(0, 1)
        if is_batched:
            return y, (hT, cT)
        return y.squeeze(batch_dim), (hT.squeeze(1), cT.squeeze(1))

    def _initial_states(self, x: Tensor, sequences: int, hx: States | None) -> States:
        directions = 2 if self.bidirectional else 1
        h_size = (self.num_layers * directions, sequences, self.proj_size or self.hidden_size)
        c_size = (self.num_layers * directions, sequences, self.hidden_size)
        if hx is None:
            return x.new_zeros(h_size), x.new_zeros(c_size)
        if len(hx) != 2:
            raise RuntimeError("lstm expects two hidden states")
        self.check_hidden_size(hx[0], h_size, "Expected hidden[0] size {}, got {}")
        self.check_hidden_size(hx[1], c_size, "Expected hidden[1] size {}, got {}")
        for index, state in enumerate(hx):
            if state.dtype != x.dtype and product_dtype(x) == x.dtype:
                raise RuntimeError(f"hidden[{index}] must have the input's dtype {x.dtype}, got {state.dtype}")
        return hx

    def _run(self, x: Tensor, walk: PackedWalk, h0: Tensor, c0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the stacked layers over packed rows x [N, I]."""
        directions = 2 if self.bidirectional else 1
        weights = [self._direction_weights(*parameters) for parameters in self.all_weights]
        final: list[tuple[Tensor, Tensor]] = []
        for layer, (h, c) in enumerate(zip(torch.split(h0, directions), torch.split(c0, directions), strict=True)):
            if layer > 0 and self.dropout > 0:
                x = F.dropout(x, self.dropout, self.training)
            x, hT, cT = lstm_layer(x, walk, h, c, weights[layer * directions : (layer + 1) * directions])
            final.append((hT, cT))
        return x, torch.cat([hT for hT, _ in final]), torch.cat([cT for _, cT in final])

    def _direction_weights(self, w_ih: Tensor, w_hh: Tensor, *rest: Tensor) -> DirectionWeights:
        """Name the parameters of one direction, which ``all_weights`` lists without those that are switched off."""
        b_ih, b_hh = rest[:2] if self.bias else (None, None)
        return DirectionWeights(w_ih, w_hh, b_ih, b_hh, rest[-1] if self.proj_size > 0 else None)


def _permuted(state: Tensor, permutation: Tensor | None) -> Tensor:
    return state if permutation is None else state.index_select(1, permutation)


def _with_batch_dim(hx: States, is_batched: bool) -> States:
    dims, kind = (3, "batched 3-D") if is_batched else (2, "unbatched 2-D")
    if any(state.dim() != dims for state in hx):
        got = ", ".join(f"{state.dim()}-D" for state in hx)
        raise RuntimeError(f"For {kind} input, hx and cx should also be {dims}-D but got ({got}) tensors")
    return hx if is_batched else (hx[0].unsqueeze(1), hx[1].unsqueeze(1))
