"""Whether the kernels can run here at all."""

import os
from functools import cache
from importlib.util import find_spec

import torch

# Triton's own switch, which it reads when a kernel is made: kernels then run on the CPU, in Python.
INTERPRETER_SWITCH = "TRITON_INTERPRET"


@cache
def obstacle() -> str | None:
    """Say what is in the way of the kernels; None when nothing is."""
    if os.environ.get("SIMLSTM_CUDA", "auto") == "off":
        return "SIMLSTM_CUDA=off"
    if find_spec("triton") is None:
        return "triton is not installed"
    if is_interpreted():
        return None
    if not torch.cuda.is_available():
        return "there is no CUDA device"
    capability = torch.cuda.get_device_capability()
    if capability < (8, 0):
        return f"the device has compute capability {capability[0]}.{capability[1]}; the kernels need 8.0"
    return None


def is_interpreted() -> bool:
    """Return whether Triton's interpreter is switched on."""
    return os.environ.get(INTERPRETER_SWITCH, "0") == "1"
