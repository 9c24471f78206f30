"""The layer on a GPU as users hold it: graphs, compiling, streams, devices, and no waiting for the GPU."""

import pytest
import torch

from simlstm.rnn import LSTM
from tests.cuda.cases import TOLERANCES, assert_close
from tests.cuda.checks import Step, assert_equal

pytest.importorskip("triton")
LENGTHS, OTHERS = [4, 1, 7, 0, 7, 3], [[7, 7, 7, 7, 7, 7], [0, 0, 0, 0, 0, 1], [1, 2, 3, 4, 5, 6]]
STEPS = 7
HIDDEN_SIZES = [32, 256]  # a program with all units, and several that wait for one another


@pytest.fixture(autouse=True)
def _untuned(monkeypatch):
    monkeypatch.setenv("SIMLSTM_CUDA_TUNING", "off")


def warm(step):
    """Compile what there is to compile, beside the stream that a graph is captured from."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)


@pytest.mark.parametrize("hidden_size", HIDDEN_SIZES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_lengths_on_the_device_equal_lengths_on_the_host(dtype, hidden_size):
    step = Step("cuda", LENGTHS, STEPS, dtype, hidden_size=hidden_size)
    on_device = step()
    step.lengths = step.lengths.cpu()
    tolerance = TOLERANCES["bfloat16" if dtype == torch.bfloat16 else "tf32"]
    assert_close(on_device, {name: value.double() for name, value in step().items()}, tolerance)


@pytest.mark.parametrize("hidden_size", HIDDEN_SIZES)
def test_a_graph_is_replayed_with_other_lengths(hidden_size):
    step = Step("cuda", LENGTHS, STEPS, torch.bfloat16, hidden_size=hidden_size)
    warm(step)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    for seed, lengths in enumerate([LENGTHS, *OTHERS]):
        step.change(lengths, seed)
        for _ in range(2):  # what programs announced to one another must be forgotten in between
            graph.replay()
        assert_equal(captured, step())


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("hidden_size", HIDDEN_SIZES)
def test_nothing_waits_for_the_device(hidden_size):
    """Neither forward nor backward asks the GPU for a number."""
    step = Step("cuda", LENGTHS, STEPS, torch.bfloat16, hidden_size=hidden_size)
    expected = step()
    step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        actual = step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert_equal(actual, expected)


@pytest.mark.filterwarnings("ignore")  # of the compiler's own
@pytest.mark.parametrize("hidden_size", HIDDEN_SIZES)
@pytest.mark.parametrize("form", ["padded", "lengths"])
def test_compiles_into_one_graph(form, hidden_size):
    torch.manual_seed(0)
    layer = LSTM(5, hidden_size, bidirectional=True, num_layers=2, device="cuda", dtype=torch.bfloat16)
    compiled = torch.compile(layer, fullgraph=True)
    results = []
    for one in (compiled, layer):
        torch.manual_seed(1)
        x = torch.randn(STEPS, len(LENGTHS), 5, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        y, (hT, cT) = one(x if form == "padded" else (x, torch.tensor(LENGTHS, device="cuda")))
        loss = y.float().square().sum() + hT.float().sum() + cT.float().sum()
        gradients = torch.autograd.grad(loss, [x, *layer.parameters()])
        results.append({str(place): value.detach() for place, value in enumerate([y, hT, cT, *gradients])})
    expected = {name: value.double() for name, value in results[1].items()}
    assert_close(results[0], expected, TOLERANCES["bfloat16"])


@pytest.mark.parametrize("hidden_size", HIDDEN_SIZES)
def test_on_a_stream_of_its_own(hidden_size):
    step = Step("cuda", LENGTHS, STEPS, torch.bfloat16, hidden_size=hidden_size)
    expected = step()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(10_000_000)  # whoever does not follow the stream is ahead of it
        step.change(LENGTHS, 3)
        actual = step()
    torch.cuda.current_stream().wait_stream(stream)
    step.change(LENGTHS, 3)
    assert_equal(actual, step())
    assert not torch.equal(actual["y"], expected["y"])


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.parametrize("hidden_size", HIDDEN_SIZES)
def test_on_another_device_than_the_current_one(hidden_size):
    results = []
    for device in ("cuda:1", "cuda:0"):
        step = Step(device, LENGTHS, STEPS, torch.bfloat16, hidden_size=hidden_size)
        step.change(LENGTHS, 3)
        for name, parameter in step.layer.named_parameters():
            generator = torch.Generator().manual_seed(len(name))
            with torch.no_grad():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
        results.append({name: value.cpu() for name, value in step().items()})
    assert_equal(*results)


@pytest.mark.parametrize("hidden_size", [256, 512])
def test_programs_that_wait_for_one_another_beside_others_that_fill_the_chip(hidden_size):
    """A launch of programs that wait begins when all of them can run, or it would never end."""
    step = Step("cuda", [9] * 300, 9, torch.bfloat16, hidden_size=hidden_size, num_layers=1)
    expected = step()
    other = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    for _ in range(5):
        with torch.cuda.stream(stream):
            for _ in range(20):
                other @ other
        for _ in range(5):
            assert_equal(step(), expected)
    torch.cuda.synchronize()


@pytest.mark.parametrize("hidden_size", [256, 512])
def test_two_layers_that_wait_on_two_streams(hidden_size):
    """Both want the whole chip: one begins when the other has ended."""
    steps = [Step("cuda", [9] * 600, 9, torch.bfloat16, hidden_size=hidden_size, num_layers=1) for _ in range(2)]
    expected = [step() for step in steps]
    streams = [torch.cuda.Stream() for _ in steps]
    torch.cuda.synchronize()
    for _ in range(10):
        actual = []
        for stream, step in zip(streams, steps, strict=True):
            with torch.cuda.stream(stream):
                actual.append(step())
        torch.cuda.synchronize()
        for both in zip(actual, expected, strict=True):
            assert_equal(*both)


def test_plans_are_measured_and_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("SIMLSTM_CUDA_TUNING", "auto")
    monkeypatch.setenv("SIMLSTM_CACHE", str(tmp_path))
    step = Step("cuda", [3] * 33, 3, torch.float16, hidden_size=48, num_layers=1)
    step()
    assert list(tmp_path.rglob("*.json"))
