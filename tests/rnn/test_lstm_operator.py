"""The operator that a graph sees: torch's own checks of an operator, and what it refuses."""

import pytest
import torch
from lstm_cases import WIDTH, initial_states, pair
from torch.library import opcheck

from simlstm.rnn.layer import _OPERATOR, _OPERATOR_WITH_CELLS

LAYOUTS = {
    "padded": (lambda: torch.randn(4, 3, WIDTH, dtype=torch.float64), None, None),
    "ragged": (lambda: torch.randn(4, 3, WIDTH, dtype=torch.float64), torch.tensor([2, 0, 4]), None),
    "packed": (lambda: torch.randn(6, WIDTH, dtype=torch.float64), None, torch.tensor([3, 2, 1])),
}
MODELS = [{}, {"bidirectional": True}, {"bidirectional": True, "proj_size": 2, "bias": False}]


def arguments(layout, module):
    make, lengths, batch_sizes = LAYOUTS[layout]
    return make().requires_grad_(), lengths, batch_sizes, *initial_states(module, 3), list(module.parameters())


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_passes_torchs_checks(layout, model):
    _, ours = pair(**model)
    outcome = opcheck(_OPERATOR, arguments(layout, ours))
    assert set(outcome.values()) == {"SUCCESS"}
    assert len(outcome) == 4


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_the_operator_with_cells_and_noise_passes_them_too(layout):
    _, ours = pair(bidirectional=True, proj_size=2)
    further = (torch.tensor(3), 0.2, 0.1, 0.3)
    outcome = opcheck(_OPERATOR_WITH_CELLS, (*arguments(layout, ours), *further))
    assert set(outcome.values()) == {"SUCCESS"}


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_its_backward_pass_passes_them_too(layout, model):
    """No gradient shares memory with another, and each is laid out as the graph expects it."""
    _, ours = pair(**model)
    x, lengths, batch_sizes, h0, c0, weights = arguments(layout, ours)
    x, h0, c0, *weights = (tensor.detach() for tensor in (x, h0, c0, *weights))
    gradients = [torch.randn_like(result) for result in _OPERATOR(x, lengths, batch_sizes, h0, c0, weights)]
    needed = [True] * (3 + len(weights))
    backward = torch.ops.simlstm.lstm_layer_backward.default
    for reached in (gradients, [None, gradients[1], None]):
        outcome = opcheck(backward, (reached, needed, x, lengths, batch_sizes, [h0, c0], weights))
        assert set(outcome.values()) == {"SUCCESS"}


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_gradcheck(layout):
    _, ours = pair(hidden_size=2, bidirectional=True)
    x, lengths, batch_sizes, h0, c0, weights = arguments(layout, ours)

    def run(x, h0, c0, *weights):
        return _OPERATOR(x, lengths, batch_sizes, h0, c0, list(weights))

    assert torch.autograd.gradcheck(run, (x, h0, c0, *weights))


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_states_of_another_batch_are_refused(layout):
    _, ours = pair()
    x, lengths, batch_sizes, _, _, weights = arguments(layout, ours)
    with pytest.raises(RuntimeError, match="states must be those of 3 sequences, got 2, 2"):
        _OPERATOR(x, lengths, batch_sizes, *initial_states(ours, 2), weights)


def test_eager_calls_do_not_come_this_way():
    _, ours = pair()
    x = torch.randn(4, 3, WIDTH, dtype=torch.float64)
    with torch.profiler.profile() as profile:
        ours(x)
    assert not any("simlstm" in event.key for event in profile.key_averages())
