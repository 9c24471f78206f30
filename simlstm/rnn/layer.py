"""LSTM: torch.nn.LSTM's face over our own recurrence."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from simlstm.rnn.dispatch import lstm_layer
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

    def forward(
        self, input: Tensor | PackedSequence, hx: States | None = None
    ) -> tuple[Tensor | PackedSequence, States]:
        """Run every layer over every sequence.

        Args:
            input: a PackedSequence with data [N, I]; or [T, B, I] ([B, T, I] when batch_first); or [T, I].
            hx: h0 [L * directions, B, P or H] and c0 [L * directions, B, H], without B for [T, I]; zeros when not given.

        Returns:
            tuple: the last layer's h for every step, in the layout of the input, and (hT, cT) in that of hx.

        Raises:
            ValueError: the input's dtype or number of dimensions is wrong; torch.nn.LSTM's messages.
            RuntimeError: a size does not fit; torch.nn.LSTM's messages.
        """
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        return self._forward_padded(input, hx)

    def _forward_packed(self, input: PackedSequence, hx: States | None) -> tuple[PackedSequence, States]:
        data, batch_sizes, sorted_indices, unsorted_indices = input
        self.check_input(data, batch_sizes)
        states = self._initial_states(data, int(batch_sizes[0]), hx)
        walk = PackedWalk(tuple(batch_sizes.tolist()), data.device)
        y, *final = self._run(data, walk, *(_permuted(state, sorted_indices) for state in states))
        output = PackedSequence(y, batch_sizes, sorted_indices, unsorted_indices)
        return output, (_permuted(final[0], unsorted_indices), _permuted(final[1], unsorted_indices))

    def _forward_padded(self, input: Tensor, hx: States | None) -> tuple[Tensor, States]:
        if input.dim() not in (2, 3):
            raise ValueError(f"LSTM: Expected input to be 2D or 3D, got {input.dim()}D instead")
        is_batched = input.dim() == 3
        batch_dim = 0 if self.batch_first else 1
        if not is_batched:
            input = input.unsqueeze(batch_dim)
        if hx is not None:
            hx = _with_batch_dim(hx, is_batched)
        self.check_input(input, None)
        states = self._initial_states(input, input.shape[batch_dim], hx)
        x = input.transpose(0, 1) if self.batch_first else input  # [T, B, I]
        steps, sequences, _ = x.shape
        if steps == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        walk = PackedWalk((sequences,) * steps, x.device)
        y, hT, cT = self._run(x.reshape(steps * sequences, -1), walk, *states)
        y = y.view(steps, sequences, -1)
        y = y.transpose(0, 1) if self.batch_first else y
        if not is_batched:
            return y.squeeze(batch_dim), (hT.squeeze(1), cT.squeeze(1))
        return y, (hT, cT)

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
        return hx

    def _run(self, x: Tensor, walk: PackedWalk, h0: Tensor, c0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the stacked layers over packed rows x [N, I]."""
        directions = 2 if self.bidirectional else 1
        weights = [self._direction_weights(names) for names in self._all_weights]
        final: list[tuple[Tensor, Tensor]] = []
        for layer, (h, c) in enumerate(zip(h0.split(directions), c0.split(directions), strict=True)):
            if layer > 0 and self.dropout > 0:
                x = F.dropout(x, self.dropout, self.training)
            x, hT, cT = lstm_layer(x, walk, h, c, weights[layer * directions : (layer + 1) * directions])
            final.append((hT, cT))
        return x, torch.cat([hT for hT, _ in final]), torch.cat([cT for _, cT in final])

    def _direction_weights(self, names: list[str]) -> DirectionWeights:
        w_ih, w_hh, *rest = (getattr(self, name) for name in names)
        b_ih, b_hh = (rest[0], rest[1]) if self.bias else (None, None)
        return DirectionWeights(w_ih, w_hh, b_ih, b_hh, rest[-1] if self.proj_size > 0 else None)


def _permuted(state: Tensor, permutation: Tensor | None) -> Tensor:
    return state if permutation is None else state.index_select(1, permutation)


def _with_batch_dim(hx: States, is_batched: bool) -> States:
    expected = 3 if is_batched else 2
    if hx[0].dim() != expected or hx[1].dim() != expected:
        kind = "batched 3-D" if is_batched else "unbatched 2-D"
        raise RuntimeError(
            f"For {kind} input, hx and cx should also be {expected}-D but got ({hx[0].dim()}-D, {hx[1].dim()}-D) tensors"
        )
    return hx if is_batched else (hx[0].unsqueeze(1), hx[1].unsqueeze(1))
