"""Which plan is fastest for a problem: measured once on each kind of device, and kept on disk."""

import logging
import threading
from dataclasses import asdict, replace
from statistics import median

import torch
import triton
from torch import Tensor

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
_chosen: dict[tuple[str, str], Plan] = {}


def plan_for(problem: Problem, device: torch.device) -> Plan:
    """Return the plan to take for a problem on a device.

    The first call for a problem of about this size measures the candidates, which takes seconds, most of them Triton's
    compiler; later ones, in other processes too, find the result. Nothing is measured where that cannot be or was
    switched off (SIMLSTM_CUDA_TUNING=off): while a CUDA graph is captured, and under the interpreter. Then the first
    candidate is taken.

    Args:
        problem: of any batch size.
        device: where it is to run.

    Raises:
        ValueError: SIMLSTM_CUDA_TUNING is neither auto nor off.
    """
    problem = coarse(problem)
    key = (notebook.kind_of(device), name_of(problem))
    plan = _chosen.get(key)
    if plan is not None:
        return plan
    plans = candidates(problem, chip_of(device))
    if len(plans) == 1 or not notebook.is_open(device):
        return plans[0]
    with _lock:
        if key not in _chosen:
            noted = notebook.read(device).get(key[1])
            found = next((plan for plan in plans if plan.describe() == noted), None)
            if found is None:
                if not notebook.may_measure(device):
                    return plans[0]
                found = tune(problem, device)
                notebook.add(device, key[1], found.describe())
            _chosen[key] = found
        return _chosen[key]


def tune(problem: Problem, device: torch.device) -> Plan:
    """Measure every candidate for a problem and return the fastest.

    Args:
        problem: with the batch size that is to be measured.
        device: where it is to run.

    Raises:
        RuntimeError: no candidate runs.
    """
    seconds: dict[Plan, float] = {}
    reasons: list[str] = []
    for plan in candidates(problem, chip_of(device)):
        try:
            seconds[plan] = median(seconds_of(_Call(problem, device, plan), device, _TURNS))
        except (triton.OutOfResources, triton.CompilationError, RuntimeError) as error:
            reasons.append(f"{plan}: {error}")
            logger.info("%s does not run: %s", plan, error)
    if not seconds:
        raise RuntimeError(f"no plan runs for {problem} on {device}: {'; '.join(reasons)}")
    fastest = min(seconds, key=seconds.__getitem__)
    logger.info("%s: %s, %.1f us for %d steps", problem, fastest, 1e6 * seconds[fastest], _STEPS)
    return fastest


class _Call:
    """One call of a kernel on random data: B sequences, of which the longest has some steps more than the mean."""

    def __init__(self, problem: Problem, device: torch.device, plan: Plan) -> None:
        directions, hidden_size, sequences = problem.directions, problem.hidden_size, problem.sequences
        generator = torch.Generator(device).manual_seed(0)

        def random(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return (torch.randn(shape, generator=generator, device=device) * 0.1).to(dtype)

        lengths = torch.linspace(_STEPS, _STEPS // 3, sequences, device=device).round().to(torch.int32)
        self._walk = DeviceWalk(
            offsets=torch.arange(_STEPS, device=device) * sequences,
            places=None,
            lengths=lengths,
            rows=_STEPS * sequences,
            has_gaps=False,
        )
        dtype = problem.products
        self._problem, self._plan, self._arithmetic = problem, plan, Arithmetic.of(dtype)
        self._recurrent = Recurrent([random(4 * hidden_size, hidden_size, dtype=dtype) for _ in range(directions)])
        rows = self._walk.rows
        self._gates = random(rows, directions * 4 * hidden_size, dtype=dtype)
        self._kept = Kept(
            gates=random(rows, directions, 4 * hidden_size, dtype=self._arithmetic.kept),
            h_before=random(rows, directions, hidden_size, dtype=dtype),
            c_before=random(rows, directions, hidden_size),
        )
        self._y = random(rows, directions * hidden_size, dtype=dtype)

    def __call__(self) -> None:
        """Start the kernel once."""
        if self._problem.backward:
            gradients = (self._y, None, None)
            backward(self._walk, self._recurrent, self._kept, gradients, self._arithmetic, self._plan)
            return
        wanted = Wanted(y=self._y, kept=self._kept if self._problem.keeps else None)
        forward(self._gates, None, self._walk, self._recurrent, None, self._arithmetic, self._plan, wanted)


def coarse(problem: Problem) -> Problem:
    """Return a problem of about the same size, for which measurements serve many."""
    return replace(problem, sequences=min(_LARGEST, power_of_two(max(_SMALLEST, problem.sequences))))


def name_of(problem: Problem) -> str:
    """Return the name that measurements of a problem are kept under."""
    return ",".join(f"{name}={value}" for name, value in asdict(problem).items())
