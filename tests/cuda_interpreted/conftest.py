"""Kernels under Triton's interpreter, in processes of their own.

Triton reads TRITON_INTERPRET when its own functions are made, that is, once and for all of a process: what compiles
cannot share one with what interprets. So in an ordinary run of the suite, test_processes.py runs each other file in a
process with the variable; with it (``TRITON_INTERPRET=1 pytest tests/cuda_interpreted -k …``), they run directly, and
layers on the CPU are for the kernels.
"""

import os
from pathlib import Path

SWITCH = "TRITON_INTERPRET"
IN_THIS_PROCESS = {"test_processes.py", "test_plan.py", "test_ahead.py", "test_launches.py"}

_files = {file.name for file in Path(__file__).parent.glob("test_*.py")}
_interprets = os.environ.get(SWITCH) == "1"
if _interprets:
    os.environ["SIMLSTM_CUDA"] = "interpret"  # before the first layer asks
collect_ignore = sorted(IN_THIS_PROCESS if _interprets else _files - IN_THIS_PROCESS)
