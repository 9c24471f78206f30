"""GRU: torch.nn.GRU's face over our own recurrence."""

from collections.abc import Sequence

import torch
from torch import Tensor

from simlstm.rnn.one_state import OneState
from simlstm.rnn.precision import product_dtype


class GRU(OneState):
    """A gated recurrent unit network: torch.nn.GRU's arguments, state_dict, errors and results.

    Like torch's it applies the reset gate after the product, and so to ``b_hn`` too: version 1 of Cho et al. 2014,
    https://arxiv.org/abs/1406.1078v1. GRU.md has the equations.

    Args:
        input_size: I, the width of the input.
        hidden_size: H, the width of the state of one direction.
        num_layers: L, layers stacked on one another.
        bias: whether to learn b_ih and b_hh.
        batch_first: whether padded input and output are [B, T, *] instead of [T, B, *].
        dropout: probability of zeroing an element of the output of each layer but the last, in training.
        bidirectional: whether a second direction reads each sequence backward.
        device: where the parameters live.
        dtype: of the parameters.
        proj_size: refused, as torch.nn.GRU refuses it.

    Raises:
        ValueError: proj_size is given; or an argument is out of range (torch's messages).
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
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int | None = None,
    ) -> None:
        if proj_size is not None:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__(
            "GRU",
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

    def _padded_dtype(self, x: Tensor, states: Sequence[Tensor] | None) -> torch.dtype:
        # torch.nn.GRU answers padded and packed input alike; on CUDA, in autocast's dtype.
        if x.is_cuda:
            return product_dtype(x)
        return x.dtype if states is None else states[0].dtype
