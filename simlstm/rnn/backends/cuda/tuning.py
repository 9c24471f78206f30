"""Which plan is fastest for a problem: measured once on each kind of device, and kept on disk."""

import logging
import threading
from dataclasses import asdict, replace
from functools import partial
from statistics import median

import torch
from torch import Tensor
from triton.errors import TritonError

from simlstm.rnn.backends.cuda import notebook
from simlstm.rnn.backends.cuda.arithmetic import Arithmetic
from simlstm.rnn.backends.cuda.launch import Kept, Recurrent, Wanted, backward, chip_of, forward
from simlstm.rnn.backends.cuda.plan import Plan, Problem, candidates, power_of_two
from simlstm.rnn.backends.cuda.stopwatch import seconds_of
from simlstm.rnn.device_walk import DeviceWalk

logger = logging.getLogger(__name__)

_SMALLEST, _LARGEST = 16, 4096  # beyond, more sequences are more of the same
_STEPS = 12
_TURNS = 7

_lock = threading.Lock()
_chosen: dict[tuple[torch.device, Problem], Plan] = {}


def plan_for(problem: Problem, device: torch.device) -> Plan:
    """Return the plan to take for a problem on a device.

    The first call for a problem of about this size measures the candidates, which takes seconds, most of them Triton's
    compiler; later ones, in other processes too, find the result. Nothing is measured where that cannot be or was
    switched off (SIMLSTM_CUDA_TUNING=off): while a CUDA graph is captured, and under the interpreter. Then, and when
    there is no memory left to measure with, the first candidate is taken.

    Args:
        problem: of any batch size.
        device: where it is to run.

    Raises:
        RuntimeError: no candidate runs.
        ValueError: SIMLSTM_CUDA_TUNING is neither auto nor off.
    """
    problem = coarse(problem)
    plan = _chosen.get((device, problem))
    if plan is not None:
        return plan
    plans = candidates(problem, chip_of(device))
    if len(plans) == 1 or not notebook.is_open(device):
        return plans[0]
    with _lock:
        if (device, problem) not in _chosen:
            noted = notebook.read(device, name_of(problem))
            found = next((plan for plan in plans if plan.describe() == noted), None)
            if found is None:
                if not notebook.may_measure(device):
                    return plans[0]
                try:
                    found = tune(problem, device)
                except torch.OutOfMemoryError:
                    logger.info("no memory to measure %s", problem)
                    return plans[0]
                notebook.add(device, name_of(problem), found.describe())
            _chosen[device, problem] = found
        return _chosen[device, problem]


def tune(problem: Problem, device: torch.device) -> Plan:
    """Measure every candidate for a problem and return the fastest.

    Args:
        problem: with the batch size that is to be measured.
        device: where it is to run.

    Raises:
        RuntimeError: no candidate runs.
        torch.OutOfMemoryError: there is no memory to run one.
    """
    seconds: dict[Plan, float] = {}
    reasons: list[str] = []
    call = _Call(problem, device)
    for plan in candidates(problem, chip_of(device)):
        try:
            seconds[plan] = median(seconds_of(partial(call, plan), device, _TURNS))
        except torch.OutOfMemoryError:
            raise
        except (TritonError, RuntimeError) as error:
            reasons.append(f"{plan}: {error}")
            logger.info("%s does not run: %s", plan, error)
    if not seconds:
        raise RuntimeError(f"no plan runs for {problem} on {device}: {'; '.join(reasons)}")
    fastest = min(seconds, key=seconds.__getitem__)
    logger.info("%s: %s, %.1f us for %d steps", problem, fastest, 1e6 * seconds[fastest], _STEPS)
    return fastest


class _Call:
    """One call of a kernel on random data, with everything that a layer gives it, so that the same code is compiled.

    Args:
        problem: B sequences of a few steps.
        device: where it is to run.
    """

    def __init__(self, problem: Problem, device: torch.device) -> None:
        directions, hidden_size, sequences = problem.directions, problem.hidden_size, problem.sequences
        generator, dtype = torch.Generator(device).manual_seed(0), problem.products

        def random(*shape: int, dtype: torch.dtype = dtype) -> Tensor:
            return torch.randn(shape, generator=generator, device=device, dtype=dtype).mul_(0.1)

        self._problem, self._arithmetic = problem, Arithmetic.of(dtype)
        self._walk = DeviceWalk(
            offsets=torch.arange(_STEPS, device=device) * sequences,
            places=None,
            lengths=torch.linspace(_STEPS, _STEPS // 3, sequences, device=device).round().to(torch.int32),
            rows=_STEPS * sequences,
            has_gaps=False,
        )
        biases = [random(4 * hidden_size) for _ in range(directions)]
        self._recurrent = Recurrent([random(4 * hidden_size, hidden_size) for _ in biases], biases, biases)
        rows = self._walk.rows
        self._y, self._states = random(rows, directions * hidden_size), random(2, directions, sequences, hidden_size)
        self._gates = None if problem.backward else random(rows, directions * 4 * hidden_size)
        self._kept = None
        if problem.backward or problem.keeps:
            self._kept = Kept(
                gates=random(rows, directions, 4 * hidden_size, dtype=self._arithmetic.kept),
                h_before=random(rows, directions, hidden_size),
                c_before=random(rows, directions, hidden_size, dtype=torch.float32),
            )

    def __call__(self, plan: Plan) -> None:
        """Start the kernel once."""
        if self._gates is None:
            assert self._kept is not None  # noqa: S101 - what walks back has something to read
            gradients = (self._y, None, None)  # of a pooled layer; final states are read by few
            backward(self._walk, self._recurrent, self._kept, gradients, self._arithmetic, plan)
            return
        wanted = Wanted(y=self._y, hT=self._states[0], kept=self._kept)
        states = (self._states[0], self._states[1])
        forward(self._gates, None, self._walk, self._recurrent, states, self._arithmetic, plan, wanted)


def coarse(problem: Problem) -> Problem:
    """Return a problem of about the same size, for which measurements serve many."""
    return replace(problem, sequences=min(_LARGEST, power_of_two(max(_SMALLEST, problem.sequences))))


def name_of(problem: Problem) -> str:
    """Return the name that measurements of a problem are kept under."""
    return ",".join(f"{name}={value}" for name, value in asdict(problem).items())
