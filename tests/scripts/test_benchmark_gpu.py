"""What only a GPU shows: events, memory and graphs of ``CudaAccelerator``."""

import pytest
import torch

from scripts.benchmarking.cuda.accelerator import CudaAccelerator
from scripts.benchmarking.cuda.gpu import describe_cuda_machine

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device: torch.cuda.is_available() is false"
)


def test_the_device_is_timed_and_the_host_is_not_kept_waiting():
    accelerator = CudaAccelerator()
    a = torch.randn(4096, 4096, device=accelerator.device)
    for _ in range(3):
        a @ a
    turn = accelerator.time(lambda _: a @ a, 0, 20)
    assert turn.host_s < turn.device_s
    first = accelerator.mark()
    a @ a
    second = accelerator.mark()
    accelerator.wait()
    assert 0 < accelerator.seconds_between(first, second) < 20 * turn.device_s


def test_memory_is_that_of_the_call():
    accelerator = CudaAccelerator()
    assert accelerator.peak_bytes(lambda: torch.ones(2**20, device=accelerator.device)) == 4 * 2**20


def test_a_graph_replays_into_the_same_memory():
    accelerator = CudaAccelerator()
    x = torch.ones(8, device=accelerator.device)
    results: list[torch.Tensor] = []
    replay = accelerator.record(lambda: results.append(2 * x))
    x.fill_(3)
    results[-1].fill_(float("nan"))
    replay()
    accelerator.wait()
    assert results[-1].tolist() == [6.0] * 8


def test_the_gpu_is_described():
    described = describe_cuda_machine(CudaAccelerator().device).gpu
    assert described.name == torch.cuda.get_device_name()
    assert described.multiprocessors > 0
    assert described.cache_mib > 0
    assert described.cuda == torch.version.cuda
