"""Which GPU, driven by what."""

import importlib.metadata
import subprocess

import torch

from scripts.benchmarking.cuda.records import CudaMachine, Gpu
from scripts.benchmarking.machine import describe_machine


def describe_cuda_machine(device: torch.device) -> CudaMachine:
    """Describe the machine with its GPU; a CPU device stands for itself, with what a GPU would have left empty."""
    gpu = _cuda_gpu(device) if device.type == "cuda" else _no_gpu()
    return CudaMachine(**describe_machine().model_dump(), gpu=gpu)


def triton_version() -> str | None:
    """Return the version of Triton; None where it is not installed."""
    try:
        return importlib.metadata.version("triton")
    except importlib.metadata.PackageNotFoundError:
        return None


def driver_version() -> str | None:
    """Ask ``nvidia-smi`` for the driver's version; None where it is not there or does not know."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return said[0] if said else None


def _cuda_gpu(device: torch.device) -> Gpu:
    properties = torch.cuda.get_device_properties(device)
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return Gpu(
        name=properties.name,
        driver=driver_version(),
        cuda=torch.version.cuda,
        cudnn=None if cudnn is None else str(cudnn),
        triton=triton_version(),
        compute_capability=f"{properties.major}.{properties.minor}",
        multiprocessors=properties.multi_processor_count,
        memory_gib=properties.total_memory / 2**30,
        cache_mib=properties.L2_cache_size / 2**20,
    )


def _no_gpu() -> Gpu:
    return Gpu(
        name="no GPU",
        driver=None,
        cuda=None,
        cudnn=None,
        triton=triton_version(),
        compute_capability="none",
        multiprocessors=0,
        memory_gib=0.0,
        cache_mib=0.0,
    )
