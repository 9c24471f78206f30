"""RNN: torch.nn.RNN's face over our own recurrence."""

from collections.abc import Sequence

import torch
from torch import Tensor

from simlstm.rnn.graph_layouts import GraphLayout
from simlstm.rnn.layouts import Layout, States
from simlstm.rnn.one_state import OneState
from simlstm.rnn.precision import in_dtype, product_dtype


class RNN(OneState):
    """A plain (Elman) recurrent network: torch.nn.RNN's arguments, state_dict, errors and results.

    Args:
        input_size: I, the width of the input.
        hidden_size: H, the width of the state of one direction.
        num_layers: L, layers stacked on one another.
        nonlinearity: "tanh" or "relu".
        bias: whether to learn b_ih and b_hh.
        batch_first: whether padded input and output are [B, T, *] instead of [T, B, *].
        dropout: probability of zeroing an element of the output of each layer but the last, in training.
        bidirectional: whether a second direction reads each sequence backward.
        device: where the parameters live.
        dtype: of the parameters.
        proj_size: refused, as torch.nn.RNN refuses it.

    Raises:
        ValueError: the nonlinearity is another, proj_size is given, or an argument is out of range (torch's messages).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int | None = None,
    ) -> None:
        if proj_size is not None:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(
            f"RNN_{nonlinearity.upper()}",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )
        self.nonlinearity = nonlinearity

    def _is_batched(self, x: Tensor, lengths: Tensor | None) -> bool:
        if lengths is None and x.dim() not in (2, 3):
            # torch.nn.RNN words this a little differently from torch.nn.LSTM and torch.nn.GRU.
            raise ValueError(f"RNN: Expected input to be 2D or 3D, got {x.dim()}D tensor instead")
        return super()._is_batched(x, lengths)

    def _initial_states(self, layout: Layout | GraphLayout, states: Sequence[Tensor] | None) -> States:
        # The layer answers in the dtype of its states, torch.nn.RNN in autocast's.
        initial = super()._initial_states(layout, states)
        return tuple(in_dtype(state, product_dtype(layout.rows)) for state in initial)
