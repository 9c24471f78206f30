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
from simlstm.rnn.backends.cuda.plan import Problem, fits
from simlstm.rnn.backends.cuda.stopwatch import seconds_of
from simlstm.rnn.backends.cuda.tuning import coarse, name_of
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights

logger = logging.getLogger(__name__)

# With fewer sequences, or fewer units, cuDNN's launches at every step take longer than the steps.
_FEWEST_SEQUENCES, _FEWEST_UNITS = 1024, 256
_STEPS, _TURNS = 12, 5

_lock = threading.Lock()
_known: dict[tuple[torch.device, int, Problem], bool] = {}


def is_faster(x: Tensor, h0: Tensor, c0: Tensor, weights: Sequence[DirectionWeights], products: torch.dtype) -> bool:
    """Return whether packed input of this size is better left to cuDNN.

    It is when the recurrent weights do not fit onto the chip, so that the kernels, too, would read them at every step.
    With many sequences of many units both are bound by the same products: there, one layer of about this size is run
    through both. The answer is kept. While a CUDA graph is captured, with SIMLSTM_CUDA_TUNING=off, and without the
    memory to measure with, the kernels are taken.

    Args:
        x: [N, I], the input; its values are not read.
        h0: [D, B, H].
        c0: [D, B, H].
        weights: D entries.
        products: dtype of the products.
    """
    recurrent, sequences = Recurrent([w.w_hh for w in weights]), h0.shape[1]
    inputs = (x, h0, c0, *(tensor for w in weights for tensor in w))
    trains = torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in inputs)
    problem = coarse(problem_of(recurrent, sequences, Arithmetic.of(products), backward=trains, keeps=trains))
    stays = fits(problem, chip_of(x.device))
    if stays and (sequences < _FEWEST_SEQUENCES or recurrent.hidden_size < _FEWEST_UNITS):
        return False
    if not stock.can_run(x, weights, products) or not notebook.may_measure(x.device):
        return False
    if not stays:
        return True
    if not notebook.is_open(x.device):
        return False
    key = (x.device, x.shape[1], problem)
    if key not in _known:
        name = f"cuDNN is faster: input_size={x.shape[1]},{name_of(problem)}"
        noted = notebook.read(x.device, name)
        if not isinstance(noted, bool):
            try:
                noted = compare(x.shape[1], problem.sequences, weights, products, trains=trains, device=x.device)
            except torch.OutOfMemoryError:
                logger.info("no memory to compare with cuDNN: %s", problem)
                return False
            notebook.add(x.device, name, noted)
        with _lock:  # the first answer of this process stands
            _known.setdefault(key, noted)
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
    generator = torch.Generator(device).manual_seed(0)  # the caller's draws stay what they are
    x = torch.randn(walk.rows, input_size, generator=generator, dtype=products, device=device).requires_grad_(trains)
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
