"""Whether the kernels can run here at all."""

import os
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

SWITCH = "SIMLSTM_CUDA"
# Triton's own switch, which it reads when a kernel is made: kernels then run on the CPU, in Python.
INTERPRETER_SWITCH = "TRITON_INTERPRET"


@cache
def obstacle() -> str | None:
    """Say what is in the way of the kernels; None when nothing is.

    Raises:
        ValueError: SIMLSTM_CUDA is none of auto, off and interpret.
    """
    setting = _setting()
    if setting == "off":
        return f"{SWITCH}=off"
    if find_spec("triton") is None:
        return "triton is not installed"
    if is_interpreted():
        return None
    if setting == "interpret":
        return f"{SWITCH}=interpret needs {INTERPRETER_SWITCH}=1"
    if torch.version.cuda is None or not torch.cuda.is_available():
        return "there is no CUDA device"
    capability = torch.cuda.get_device_capability()
    if capability < (8, 0):
        return f"the device has compute capability {capability[0]}.{capability[1]}; the kernels need 8.0"
    return None


def serves(x: Tensor) -> bool:
    """Return whether a layer over x is for the kernels: on CUDA, or on the CPU when SIMLSTM_CUDA=interpret."""
    return (x.is_cuda or _interprets_on_cpu()) and obstacle() is None


def is_interpreted() -> bool:
    """Return whether Triton's interpreter is switched on."""
    return os.environ.get(INTERPRETER_SWITCH, "0") == "1"


@cache
def _interprets_on_cpu() -> bool:
    return _setting() == "interpret"


def _setting() -> str:
    setting = os.environ.get(SWITCH, "auto")
    if setting not in ("auto", "off", "interpret"):
        raise ValueError(f"{SWITCH} must be auto, off or interpret, got {setting!r}")
    return setting
