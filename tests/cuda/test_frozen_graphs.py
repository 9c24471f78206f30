"""The frozen encoder on a GPU, unawaited: CUDA graphs, threads and streams, and copies to the host."""

import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from simlstm.data.batching import pack
from simlstm.models import device_encoder
from simlstm.models.arrivals import Arrivals
from simlstm.models.device_inputs import Size
from tests.cuda.frozen_pairs import IDS, TOLERANCE, assert_close, pair
from tests.models.frozen_cases import sentences


@contextmanager
def refused_waiting() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Synchronization debug mode")  # that it does not find everything
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("most", [device_encoder.MOST, Size(0, 0, 0)])
@pytest.mark.parametrize("shape", [{}, {"num_layers": 2, "pooling": "attention", "projection_size": 4}], ids=str)
@pytest.mark.parametrize("on_device", [True, False])
def test_the_host_does_not_wait(monkeypatch, most, shape, on_device):
    monkeypatch.setattr(device_encoder, "MOST", most)
    _, frozen = pair(**shape)
    tokens = pack(IDS).to("cuda") if on_device else pack(IDS)
    expected = frozen(tokens)
    frozen(tokens)
    with refused_waiting():
        result = frozen(tokens)
    assert_close(result, expected.cpu(), TOLERANCE["bfloat16"])


def test_copies_to_the_host_overlap_with_what_is_computed_next():
    result = torch.arange(2**22, dtype=torch.float32, device="cuda").view(2**11, -1)
    arrivals = Arrivals()
    warm = arrivals.of(result)
    warm.wait()
    torch.cuda.synchronize()
    arrival = arrivals.of(result)
    torch.cuda._sleep(2 * 10**9)  # cycles: about a second
    computed = torch.cuda.current_stream().record_event()
    array = arrival.wait()
    assert not computed.query(), "the copy did not wait for what came after it"
    assert arrival.tensor.is_pinned()
    assert np.array_equal(array, np.arange(2**22, dtype=np.float32).reshape(2**11, -1))
    torch.cuda.synchronize()


def test_a_result_that_is_dropped_is_copied_all_the_same():
    arrivals, waiting = Arrivals(), []
    for number in range(20):
        waiting.append(arrivals.of(torch.full((512, 512), float(number), device="cuda")))
        torch.full((512, 512), -1.0, device="cuda")  # would take the memory of a result that nobody holds
    for number, arrival in enumerate(waiting):
        assert (arrival.wait() == number).all()


@pytest.mark.parametrize("has_own_stream", [True, False])
def test_threads_may_share_it(has_own_stream):
    right, frozen = pair("bfloat16", hidden_size=40)
    parts = [sentences(60, seed=seed) for seed in range(24)]

    def encode(part):
        stream = torch.cuda.Stream() if has_own_stream else torch.cuda.current_stream()
        with torch.cuda.stream(stream):
            vectors = [frozen(pack(part)) for _ in range(5)]
            stream.synchronize()
        assert all(torch.equal(again, vectors[0]) for again in vectors)
        return vectors[0]

    with ThreadPoolExecutor(4) as pool:
        for result, part in zip(pool.map(encode, parts), parts, strict=True):
            assert_close(result, right(pack(part)), TOLERANCE["bfloat16"])
    assert frozen._on_device.graphs.captured > 0


def test_threads_may_freeze_and_capture_at_once():
    parts = [sentences(60, seed=seed) for seed in range(8)]
    right, _ = pair()
    own = [pair()[1] for _ in parts]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            results = list(pool.map(lambda number: own[number].encode(parts[number], batch_size=16), range(8)))
    for result, part, frozen in zip(results, parts, own, strict=True):
        assert_close(result, right.encode(part), TOLERANCE["bfloat16"])
        assert frozen._on_device.graphs.captured > 0


def test_sizes_are_dropped_and_captured_again(monkeypatch):
    monkeypatch.setattr(device_encoder, "MOST_GRAPHS", 2)
    right, frozen = pair(num_layers=2, pooling="mean_max")
    batches_of_sizes = [pack(sentences(count, seed=count)) for count in (5, 9, 20, 40)]
    expected = [right(tokens) for tokens in batches_of_sizes]
    for _ in range(3):
        for tokens, wanted in zip(batches_of_sizes, expected, strict=True):
            for _ in range(3):
                assert_close(frozen(tokens), wanted, TOLERANCE["bfloat16"])
    assert frozen._on_device.graphs.captured <= 2


class Waiting(nn.Module):
    """A projection that cannot be captured: the host looks at a value."""

    def forward(self, vectors):
        return vectors * float(torch.ones((), device=vectors.device).item())


def compute_what_cannot_be_captured() -> None:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.getLogger("simlstm").addHandler(handler)
    right, frozen = pair()
    expected = right(pack(IDS))
    object.__setattr__(frozen._on_device._body, "projection", Waiting())
    for _ in range(4):
        assert_close(frozen(pack(IDS)), expected, TOLERANCE["bfloat16"])
    told = [line for line in lines if line.startswith("no CUDA graphs from now on, because a capture failed: ")]
    assert len(told) == 1, lines
    assert frozen._on_device.graphs.captured == 0
    _, other = pair()
    for _ in range(3):
        assert_close(other(pack(IDS)), expected, TOLERANCE["bfloat16"])


def test_what_cannot_be_captured_is_computed_as_it_is():
    # In a process of its own: after a failed capture, torch's random numbers on the device fail in some releases.
    call = "from tests.cuda.test_frozen_graphs import compute_what_cannot_be_captured as run; run()"
    finished = subprocess.run(
        [sys.executable, "-c", call],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_a_callers_capture_is_refused():
    _, frozen = pair()
    tokens = pack(IDS).to("cuda")
    frozen(tokens)
    torch.cuda.synchronize()
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    with torch.cuda.stream(stream):
        graph.capture_begin()
        try:
            with pytest.raises(RuntimeError, match="cannot be captured in a CUDA graph"):
                frozen(tokens)
        finally:
            torch.zeros(1, device="cuda").add_(1)
            graph.capture_end()
