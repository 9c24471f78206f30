"""torch.func's transforms and forward-mode differentiation, where a hand-written backward pass cannot go."""

import pytest
import torch
from lstm_cases import WIDTH, pair
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp, vmap

from simlstm.rnn import LSTMCell

# torch compiles its own forward-mode formulas with torch.jit.script on first use, and warns of it.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


def test_per_sample_gradients():
    """vmap over grad; torch.nn.LSTM itself cannot do this on the CPU, so one sample at a time is the truth."""
    theirs, ours = pair(bidirectional=True, batch_first=True)
    x = torch.randn(3, 4, WIDTH, dtype=torch.float64)

    def loss(parameters, row):
        return functional_call(ours, parameters, (row,))[0].sin().sum()

    together = vmap(grad(loss), in_dims=(None, 0))(dict(ours.named_parameters()), x)
    for index, row in enumerate(x):
        alone = torch.autograd.grad(theirs(row)[0].sin().sum(), list(theirs.parameters()))
        for gradient, expected in zip(together.values(), alone, strict=True):
            torch.testing.assert_close(gradient[index], expected)


def test_directional_derivatives():
    x, direction = torch.randn(2, 4, 2, WIDTH, dtype=torch.float64)
    for module in pair(bidirectional=True, num_layers=2, proj_size=2):
        value, slope = jvp(lambda x, module=module: module(x)[0], (x,), (direction,))
        step = 1e-6
        difference = (module(x + step * direction)[0] - module(x - step * direction)[0]) / (2 * step)
        torch.testing.assert_close(value, module(x)[0])
        torch.testing.assert_close(slope, difference, rtol=1e-6, atol=1e-8)


def test_forward_mode_of_layer_and_cell():
    _, layer = pair()
    cell = LSTMCell(WIDTH, 5, dtype=torch.float64)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    x, direction = torch.randn(2, 1, 2, WIDTH, dtype=torch.float64)
    with forward_ad.dual_level():
        through_layer = forward_ad.unpack_dual(layer(forward_ad.make_dual(x, direction))[0])
        through_cell = forward_ad.unpack_dual(cell(forward_ad.make_dual(x[0], direction[0]))[0])
    assert through_layer.tangent.abs().sum() > 0
    torch.testing.assert_close(through_layer.tangent[0], through_cell.tangent)
