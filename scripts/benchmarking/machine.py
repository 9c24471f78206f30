"""Where a measurement was made: what a figure depends on besides the code."""

import importlib.metadata
import os
import platform
import re
from pathlib import Path

import torch

from scripts.benchmarking.records import Machine
from simlstm.rnn.backends.native import instruction_set
from simlstm.training.provenance import code_commit

INSTRUCTION_SETS = ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8")
PACKAGES = ("simlstm", "torch", "numpy", "onnxruntime", "sentence-transformers", "transformers", "tokenizers")


def describe_machine() -> Machine:
    """Describe processor, instruction sets, threads, versions and commit (``+changes`` when files were edited).

    A copy of the code without its history takes the commit from the environment variable SIMLSTM_COMMIT.
    """
    model, flags = _processor()
    return Machine(
        processor=model,
        instruction_sets=[name for name in INSTRUCTION_SETS if name in flags],
        native_backend=instruction_set(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        threads=torch.get_num_threads(),
        load_average=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        python=platform.python_version(),
        packages={name: version for name in PACKAGES if (version := _version(name))},
        libraries=_libraries(),
        commit=code_commit() or os.environ.get("SIMLSTM_COMMIT"),
    )


def _processor() -> tuple[str, set[str]]:
    """Return the model name with the number of logical processors, and the flags that Linux lists."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.is_file() else ""
    names = re.findall(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*:\s*(.+)$", text, re.MULTILINE)
    model = f"{names[0]} ({len(names)} cores)" if names else platform.processor() or platform.machine()
    return model, set(flags.group(1).split()) if flags else set()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _libraries() -> dict[str, str]:
    """Name what torch was built with for matrix products: the BLAS library, oneDNN, and the thread pool."""
    built = torch.__config__.show()
    patterns = {
        "blas": r"BLAS_INFO=(\w+)",
        "mkl": r"Math Kernel Library Version ([\w.-]+)",
        "onednn": r"MKL-DNN v([\d.]+)",
        "openmp": r"OpenMP (\d+)",
    }
    return {name: found.group(1) for name, pattern in patterns.items() if (found := re.search(pattern, built))}
