"""Which plan is fastest for a problem: measured once on each kind of device, and kept on disk."""

import hashlib
import json
import logging
import os
import threading
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from statistics import median

import torch
import triton
from torch import Tensor

from simlstm.rnn.backends.cuda.arithmetic import Arithmetic
from simlstm.rnn.backends.cuda.launch import Kept, Recurrent, Wanted, backward, chip_of, forward
from simlstm.rnn.backends.cuda.plan import Plan, Problem, candidates, power_of_two
from simlstm.rnn.backends.cuda.stopwatch import seconds_of
from simlstm.rnn.device_walk import DeviceWalk

logger = logging.getLogger(__name__)

SWITCH = "SIMLSTM_CUDA_TUNING"
FOLDER = "SIMLSTM_CACHE"

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
    problem = _coarse(problem)
    key = (_kind_of(device), _name(problem))
    plan = _chosen.get(key)
    if plan is not None:
        return plan
    plans = candidates(problem, chip_of(device))
    if len(plans) == 1 or device.type != "cuda" or _is_off():
        return plans[0]
    with _lock:
        if key not in _chosen:
            stored = _stored(device)
            found = stored.get(key[1])
            if found not in plans:
                if torch.cuda.is_current_stream_capturing():
                    return plans[0]
                found = tune(problem, device)
                _store(device, _stored(device) | {key[1]: found})
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


def _coarse(problem: Problem) -> Problem:
    return replace(problem, sequences=min(_LARGEST, power_of_two(max(_SMALLEST, problem.sequences))))


def _is_off() -> bool:
    setting = os.environ.get(SWITCH, "auto")
    if setting not in ("auto", "off"):
        raise ValueError(f"{SWITCH} must be auto or off, got {setting!r}")
    return setting == "off"


def _name(problem: Problem) -> str:
    return ",".join(f"{name}={value}" for name, value in asdict(problem).items())


@cache
def _kind_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


@cache
def _sources() -> str:
    """Return a digest of what a measurement follows from: the kernels, and who compiles them."""
    digest = hashlib.sha256(triton.__version__.encode())
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _file(device: torch.device) -> Path:
    home = os.environ.get(FOLDER) or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "simlstm"
    kind = "".join(letter if letter.isalnum() else "-" for letter in _kind_of(device))
    return Path(home) / f"plans-{kind}-{_sources()}.json"


def _stored(device: torch.device) -> dict[str, Plan]:
    try:
        content = json.loads(_file(device).read_text("utf-8"))
        return {name: Plan(**plan) for name, plan in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # nothing there, or nothing of ours: measure again
        return {}


def _store(device: torch.device, plans: dict[str, Plan]) -> None:
    file = _file(device)
    text = json.dumps({name: plan.describe() for name, plan in plans.items()}, indent=1)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}")
        temporary.write_text(text, "utf-8")
        temporary.replace(file)
    except OSError as error:
        logger.warning("measured plans cannot be kept in %s: %s", file, error)
