"""DropConnect on the recurrent weights: a network runs once with some of its hidden-to-hidden weights at zero."""

from typing import Any

from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from simlstm.rnn.recurrent import Recurrent


def run_with_dropped_weights(recurrent: nn.Module, rate: float, *inputs: Any) -> Any:
    """Run a recurrent network with random elements of its hidden-to-hidden matrices at zero.

    One mask holds for all sequences and all steps of the call; what is kept is divided by 1 - rate (Wan et al. 2013;
    on the recurrent weights of LSTMs: Merity et al. 2018, https://arxiv.org/abs/1708.02182, section 3). The recurrence
    itself stays the plain one, with its kernels: they are handed other weights, through which the gradient goes on to
    the parameters.

    Args:
        recurrent: A layer of `simlstm.rnn`, which reads its weights when it is called. Its parameters stay as they are.
        rate: Probability of an element being dropped.
        *inputs: Of the call.

    Returns:
        What the layer returns.

    Raises:
        TypeError: For another layer: torch's own keeps a list of its weights, which nothing handed to it would reach.
    """
    if not isinstance(recurrent, Recurrent):
        raise TypeError(
            f"weight_dropout={rate} needs a layer of simlstm.rnn, got {type(recurrent).__module__}."
            f"{type(recurrent).__qualname__}; set weight_dropout to 0"
        )
    dropped = {
        name: F.dropout(weight, rate, training=True)
        for name, weight in recurrent.named_parameters()
        if name.startswith("weight_hh")
    }
    return functional_call(recurrent, dropped, inputs)
