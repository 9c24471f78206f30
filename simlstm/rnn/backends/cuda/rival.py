"""Whether cuDNN is faster: asked where that can be, measured once, kept on disk."""

import logging
import threading
from collections.abc import Callable, Sequence
from statistics import median

import torch
from torch import Tensor

from simlstm.rnn.backends import stock
from simlstm.rnn.backends.cuda import lstm, notebook
from simlstm.rnn.backends.cuda.arithmetic import Arithmetic
from simlstm.rnn.backends.cuda.launch import Recurrent, chip_of, problem_of
from simlstm.rnn.backends.cuda.plan import fits_at_once
from simlstm.rnn.backends.cuda.stopwatch import seconds_of
from simlstm.rnn.backends.cuda.tuning import coarse, name_of
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights

logger = logging.getLogger(__name__)

# With fewer sequences, or fewer units, cuDNN's launches at every step take longer than the steps.
_FEWEST_SEQUENCES, _FEWEST_UNITS = 1024, 256
_STEPS, _TURNS = 12, 5

_lock = threading.Lock()
_known: dict[tuple[str, str], bool] = {}


def is_faster(x: Tensor, sequences: int, weights: Sequence[DirectionWeights], products: torch.dtype) -> bool:
    """Return whether packed input of this size is better left to cuDNN.

    It is when the recurrent weights do not fit onto the chip, so that the kernels, too, would need a launch at every
    step. With many sequences of many units both are bound by the same products: there, one layer of about this size is
    run through both. The first answer stands; while a CUDA graph is captured, and with SIMLSTM_CUDA_TUNING=off, nothing
    is measured and the kernels are taken.

    Args:
        x: [N, I], the input; its values are not read.
        sequences: B.
        weights: D entries.
        products: dtype of the products.
    """
    if not stock.can_run(x, weights, products):
        return False
    trains = torch.is_grad_enabled() and any(
        tensor.requires_grad for w in weights for tensor in w if tensor is not None
    )
    recurrent = Recurrent([w.w_hh for w in weights])
    arithmetic = Arithmetic.of(products)
    problem = coarse(problem_of(recurrent, sequences, arithmetic, backward=trains, keeps=trains))
    if not fits_at_once(problem, chip_of(x.device)):
        return True
    if sequences < _FEWEST_SEQUENCES or recurrent.hidden_size < _FEWEST_UNITS or not notebook.is_open(x.device):
        return False
    key = (notebook.kind_of(x.device), f"cuDNN is faster: input_size={x.shape[1]},{name_of(problem)}")
    with _lock:
        if key not in _known:
            noted = notebook.read(x.device).get(key[1])
            if not isinstance(noted, bool):
                if not notebook.may_measure(x.device):
                    return False
                noted = compare(x.shape[1], problem.sequences, weights, products, trains=trains, device=x.device)
                notebook.add(x.device, key[1], noted)
            _known[key] = noted
        return _known[key]


def compare(
    input_size: int,
    sequences: int,
    weights: Sequence[DirectionWeights],
    products: torch.dtype,
    *,
    trains: bool,
    device: torch.device,
) -> bool:
    """Time one layer through torch's operator and through the kernels; return whether the former was faster.

    Args:
        input_size: I.
        sequences: B.
        weights: D entries; neither they nor their gradients are touched.
        products: dtype of the products.
        trains: whether the backward pass is timed, too.
        device: where it runs.
    """
    lengths = torch.linspace(_STEPS, max(1, _STEPS // 3), sequences).round().int()
    walk = PackedWalk(tuple((torch.arange(_STEPS)[:, None] < lengths).sum(1).tolist()), device)
    leaves = [
        DirectionWeights(*[None if t is None else t.detach().clone().requires_grad_(trains) for t in w])  # type: ignore[arg-type]
        for w in weights
    ]
    x = torch.randn(walk.rows, input_size, dtype=products, device=device).requires_grad_(trains)
    states = torch.zeros(2, len(weights), sequences, weights[0].w_hh.shape[1], dtype=products, device=device)

    def call_of(layer: Callable[..., tuple[Tensor, Tensor, Tensor]]) -> Callable[[], None]:
        def call() -> None:
            with torch.set_grad_enabled(trains):
                y, _, _ = layer(x, walk, states[0], states[1], leaves, products)
            if trains:
                torch.autograd.grad(y, [x, *(t for w in leaves for t in w if t is not None)], torch.ones_like(y))

        return call

    seconds = {
        name: median(seconds_of(call_of(layer), device, _TURNS))
        for name, layer in (("cuDNN", stock.lstm_layer), ("kernels", lstm.lstm_layer))
    }
    logger.info("B=%d, H=%d, %s: %s", sequences, weights[0].w_hh.shape[1], products, seconds)
    return seconds["cuDNN"] < seconds["kernels"]
