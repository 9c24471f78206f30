"""GRU and RNN in a graph: torch's own checks of their operators, one node a layer, one compilation for every batch."""

import pytest
import torch
from lstm_cases import WIDTH, scramble, sequences
from one_state_cases import MODES, initial_state, make, pair
from torch._dynamo.testing import CompileCounterWithBackend
from torch.library import opcheck
from torch.nn.utils.rnn import pack_sequence, pad_sequence

# torch takes sizes that are equal in the first batch for one and the same: T = 8, B = 6 and N = 23 are like no other.
BATCHES = [[8, 7, 1, 2, 3, 2], [5, 5, 2], [7, 2, 4, 3, 6]]
LAYOUTS = {
    "padded": (lambda: torch.randn(4, 3, WIDTH, dtype=torch.float64), None, None),
    "lengths": (lambda: torch.randn(4, 3, WIDTH, dtype=torch.float64), torch.tensor([2, 0, 4]), None),
    "packed": (lambda: torch.randn(6, WIDTH, dtype=torch.float64), None, torch.tensor([3, 2, 1])),
}
pytestmark = [pytest.mark.parametrize("mode", MODES), pytest.mark.parametrize("layout", list(LAYOUTS))]


@pytest.fixture(autouse=True)
def _nothing_compiled():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def operator_of(mode):
    return getattr(torch.ops.simlstm, f"{mode.lower()}_layer").default


def batch(layout, lengths, dtype=torch.float64):
    rows = sequences(lengths, dtype)
    if layout == "packed":
        return pack_sequence(rows, enforce_sorted=False)
    x = pad_sequence(rows)
    return x if layout == "padded" else (x, torch.tensor(lengths))


def results_and_gradients(run, module, *arguments):
    y, hT = run(*arguments)
    y = y if isinstance(y, torch.Tensor) else y.data
    return y, hT, *torch.autograd.grad(scramble(y, hT), list(module.parameters()))


@pytest.mark.parametrize("arguments", [{}, {"bidirectional": True, "bias": False}], ids=str)
def test_passes_torchs_checks(mode, layout, arguments):
    _, ours = pair(mode, **arguments)
    make_rows, lengths, batch_sizes = LAYOUTS[layout]
    inputs = (make_rows().requires_grad_(), lengths, batch_sizes, initial_state(ours, 3), list(ours.parameters()))
    outcome = opcheck(operator_of(mode), inputs)
    assert set(outcome.values()) == {"SUCCESS"}
    assert len(outcome) == 4


def test_one_compilation_serves_every_batch(mode, layout):
    _, ours = pair(mode, bidirectional=True, num_layers=2)
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(ours, fullgraph=True, dynamic=True, backend=counter)
    for lengths in BATCHES:
        x = batch(layout, lengths)
        states = () if layout != "padded" else (initial_state(ours, len(lengths)),)
        actual = results_and_gradients(compiled, ours, x, *states)
        torch.testing.assert_close(actual, results_and_gradients(ours, ours, x, *states), rtol=0, atol=0)
    nodes = [sum(node.target is operator_of(mode) for node in graph.graph.nodes) for graph in counter.graphs]
    # torch compiles an empty graph on the way to finding out that the probability of dropout is a constant.
    assert [count for count in nodes if count > 0] == [ours.num_layers]


@pytest.mark.parametrize("with_state", [False, True])
def test_autocast_is_what_it_is_without_compilation(mode, layout, with_state):
    ours = make(mode, input_size=WIDTH, hidden_size=5, num_layers=2, bidirectional=True)
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    arguments = [batch(layout, [4, 1, 3], torch.float32)]
    if with_state:
        arguments.append(initial_state(ours, 3, torch.float32))
    with torch.autocast("cpu", torch.bfloat16):
        actual = results_and_gradients(compiled, ours, *arguments)
        expected = results_and_gradients(ours, ours, *arguments)
    # assert_close holds the dtypes to be the same, too.
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)
