"""torch.compile of the layer: one graph, one node for each layer, one compilation for every T, B and lengths."""

import shutil

import pytest
import torch
from lstm_cases import WIDTH, initial_states, pair, scramble, sequences
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn.utils.rnn import pack_sequence, pad_sequence

from simlstm.rnn import LSTM
from simlstm.rnn.layer import _OPERATOR

MODELS = [
    {},
    {"bidirectional": True, "num_layers": 2, "batch_first": True},
    {"bidirectional": True, "num_layers": 2, "proj_size": 2, "bias": False},
]
# torch takes sizes that are equal in the first batch for one and the same: T = 8, B = 6 and N = 23 are like no other.
BATCHES = [[8, 7, 1, 2, 3, 2], [5, 5, 2], [7, 2, 4, 3, 6], [9, 2, 2, 3]]


@pytest.fixture(autouse=True)
def _nothing_compiled():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def batch(kind, lengths, *, batch_first=False, dtype=torch.float64):
    rows = sequences(lengths, dtype)
    if kind == "packed":
        return pack_sequence(rows, enforce_sorted=False)
    if kind == "packed, sorted by the caller":
        return pack_sequence(sorted(rows, key=len, reverse=True))
    x = pad_sequence(rows, batch_first=batch_first)
    return x if kind == "padded" else (x, torch.tensor(lengths))


def results_and_gradients(run, module, *arguments):
    y, (hT, cT) = run(*arguments)
    y = y if isinstance(y, torch.Tensor) else y.data
    return y, hT, cT, *torch.autograd.grad(scramble(y, hT, cT), list(module.parameters()))


@pytest.mark.parametrize("arguments", MODELS, ids=str)
@pytest.mark.parametrize("kind", ["padded", "lengths", "packed", "packed, sorted by the caller"])
def test_one_compilation_serves_every_batch(kind, arguments):
    _, ours = pair(**arguments)
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(ours, fullgraph=True, dynamic=True, backend=counter)
    for lengths in BATCHES:
        x = batch(kind, lengths, batch_first=ours.batch_first)
        states = () if kind != "padded" else (initial_states(ours, len(lengths)),)
        actual = results_and_gradients(compiled, ours, x, *states)
        torch.testing.assert_close(actual, results_and_gradients(ours, ours, x, *states), rtol=0, atol=0)
    nodes = [sum(node.target is _OPERATOR for node in graph.graph.nodes) for graph in counter.graphs]
    # torch compiles an empty graph on the way to finding out that the probability of dropout is a constant.
    assert [count for count in nodes if count > 0] == [ours.num_layers]


def test_lengths_are_no_part_of_what_is_compiled():
    """Without ``dynamic=True`` sizes are fixed at first, lengths never are."""
    _, ours = pair(bidirectional=True)
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(ours, fullgraph=True, backend=counter)
    x = torch.randn(4, 3, WIDTH, dtype=torch.float64)
    for lengths in ([4, 2, 1], [0, 4, 3], [0, 0, 0]):
        arguments = ((x, torch.tensor(lengths)),)
        actual = results_and_gradients(compiled, ours, *arguments)
        torch.testing.assert_close(actual, results_and_gradients(ours, ours, *arguments), rtol=0, atol=0)
    assert counter.frame_count == 1


def test_sizes_become_dynamic_by_themselves():
    """A second batch of other sizes is compiled once more, and that is the last time."""
    _, ours = pair(bidirectional=True)
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(ours, fullgraph=True, backend=counter)
    for lengths in BATCHES:
        compiled(batch("lengths", lengths))
    assert counter.frame_count == 2


@pytest.mark.parametrize("kind", ["unbatched", "no sequence", "one step of one sequence"])
def test_edges(kind):
    _, ours = pair(bidirectional=True)
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    shape = {"unbatched": (4,), "no sequence": (4, 0), "one step of one sequence": (1, 1)}[kind]
    x = torch.randn(*shape, WIDTH, dtype=torch.float64)
    actual = results_and_gradients(compiled, ours, x)
    torch.testing.assert_close(actual, results_and_gradients(ours, ours, x), rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["padded", "lengths", "packed"])
def test_autocast_is_what_it_is_without_compilation(kind):
    ours = LSTM(WIDTH, 5, num_layers=2, bidirectional=True)
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    x = batch(kind, [4, 1, 3], dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        actual = results_and_gradients(compiled, ours, x)
        expected = results_and_gradients(ours, ours, x)
    # assert_close holds the dtypes to be the same, too.
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def test_states_get_gradients_and_frozen_parameters_none():
    _, ours = pair(bidirectional=True)
    ours.weight_hh_l0.requires_grad_(False)
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    gradients = []
    for run in (compiled, ours):
        h0, c0 = initial_states(ours, 3)
        y, (_, cT) = run(batch("lengths", [2, 0, 3]), (h0, c0))  # hT unused
        trained = [parameter for parameter in ours.parameters() if parameter.requires_grad]
        gradients.append(torch.autograd.grad(scramble(y, cT), [h0, c0, *trained]))
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


def test_wrong_lengths_are_refused_when_the_graph_runs():
    _, ours = pair()
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    x = torch.randn(4, 2, WIDTH, dtype=torch.float64)
    compiled((x, torch.tensor([1, 2])))
    with pytest.raises(ValueError, match=r"lengths must lie between 0 and the 4 steps of the input, got \[1, 5\]"):
        compiled((x, torch.tensor([1, 5])))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_inductor():
    """The default backend, inside a model with operations before and after the layer."""
    torch.manual_seed(0)
    layer = LSTM(WIDTH, 5, bidirectional=True)

    def model(x, lengths):
        y, (hT, _) = layer((x.relu(), lengths))
        return y.amax(0) + hT.sum(0).repeat(1, 2)

    compiled = torch.compile(model, fullgraph=True, dynamic=True)
    for lengths in ([4, 0, 3], [6, 2, 5, 1]):
        x = torch.randn(max(lengths), len(lengths), WIDTH)
        results = [run(x, torch.tensor(lengths)) for run in (compiled, model)]
        torch.testing.assert_close(*results)
        torch.testing.assert_close(*[torch.autograd.grad(scramble(y), list(layer.parameters())) for y in results])
