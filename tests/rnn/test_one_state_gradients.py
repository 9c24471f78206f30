"""GRU and RNN: first and second derivatives against finite differences, transforms, and only what is asked for."""

import pytest
import torch
from lstm_cases import LENGTHS, WIDTH, scramble, sequences
from one_state_cases import MODES, pair
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import functional_call, grad, jvp, vmap
from torch.nn.utils.rnn import PackedSequence, pack_sequence
from torch.utils._python_dispatch import TorchDispatchMode

from simlstm.rnn.backends.one_state import differentiable, layer
from simlstm.rnn.one_state import RECURRENCES
from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights

pytestmark = [
    pytest.mark.parametrize("mode", MODES),
    # torch compiles its own forward-mode formulas with torch.jit.script on first use, and warns of it.
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),
]

CASES = [
    {"bidirectional": True},
    {"bidirectional": False, "bias": False},
    {"bidirectional": True, "num_layers": 2, "bias": False},
]


def layer_and_inputs(mode, arguments):
    _, ours = pair(mode, hidden_size=2, **arguments)
    packed = pack_sequence(sequences([3, 2, 1]))
    h0 = torch.randn(ours.num_layers * (2 if ours.bidirectional else 1), 3, 2, dtype=torch.float64)
    names = [name for name, _ in ours.named_parameters()]

    def run(x, h0, *parameters):
        named = dict(zip(names, parameters, strict=True))
        y, hT = functional_call(ours, named, (PackedSequence(x, packed.batch_sizes), h0))
        return y.data, hT

    return run, tuple(tensor.detach().clone().requires_grad_() for tensor in (packed.data, h0, *ours.parameters()))


@pytest.mark.parametrize("arguments", CASES, ids=str)
def test_gradcheck(mode, arguments):
    run, inputs = layer_and_inputs(mode, arguments)
    assert gradcheck(run, inputs)


@pytest.mark.parametrize("arguments", CASES, ids=str)
def test_gradgradcheck(mode, arguments):
    run, inputs = layer_and_inputs(mode, arguments)
    assert gradgradcheck(run, inputs, fast_mode=True)


def test_second_derivatives_with_tied_weights_equal_torchs(mode):
    """A parameter that stands in two places gets the sum of both second derivatives, each once."""
    results = []
    for module in pair(mode, bidirectional=True):
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
            setattr(module, f"{name}_reverse", getattr(module, name))
        y, _ = module(pack_sequence(sequences([3, 1])))
        first = torch.autograd.grad(y.data.sin().sum(), list(module.parameters()), create_graph=True)
        second = torch.autograd.grad(sum(gradient.square().sum() for gradient in first), list(module.parameters()))
        results.append([*first, *second])
    assert len(results[0]) == 8
    for theirs, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_per_sample_gradients(mode):
    """vmap over grad; torch's layer itself cannot do this on the CPU, so one sample at a time is the truth."""
    theirs, ours = pair(mode, bidirectional=True, batch_first=True)
    x = torch.randn(3, 4, WIDTH, dtype=torch.float64)

    def loss(parameters, row):
        return functional_call(ours, parameters, (row,))[0].sin().sum()

    together = vmap(grad(loss), in_dims=(None, 0))(dict(ours.named_parameters()), x)
    for index, row in enumerate(x):
        alone = torch.autograd.grad(theirs(row)[0].sin().sum(), list(theirs.parameters()))
        for gradient, expected in zip(together.values(), alone, strict=True):
            torch.testing.assert_close(gradient[index], expected)


def test_directional_derivatives(mode):
    _, ours = pair(mode, bidirectional=True, num_layers=2)
    x, direction = torch.randn(2, 4, 2, WIDTH, dtype=torch.float64)
    value, slope = jvp(lambda x: ours(x)[0], (x,), (direction,))
    step = 1e-6
    difference = (ours(x + step * direction)[0] - ours(x - step * direction)[0]) / (2 * step)
    torch.testing.assert_close(value, ours(x)[0])
    torch.testing.assert_close(slope, difference, rtol=1e-6, atol=1e-8)
    with forward_ad.dual_level():
        y, _ = ours(forward_ad.make_dual(x, direction))
        torch.testing.assert_close(forward_ad.unpack_dual(y).tangent, slope)


class ProductCounter(TorchDispatchMode):
    """Counts matrix products."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.addmm_)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("lengths", [LENGTHS["ragged"], LENGTHS["equal"]], ids=str)
def test_only_what_is_asked_for_is_computed_and_is_the_same(mode, lengths):
    """Each leaf alone against all leaves together, straight from the backend."""
    _, module = pair(mode, bidirectional=True)
    packed = pack_sequence(sequences(lengths))
    walk = PackedWalk(tuple(packed.batch_sizes.tolist()), packed.data.device)
    h0 = torch.randn(2, len(lengths), 5, dtype=torch.float64)
    names = ["x", "h0", *(name for name, _ in module.named_parameters())]
    leaves = [packed.data, h0, *(parameter.detach() for parameter in module.parameters())]

    def gradients_and_products(wanted, run):
        x, h0, *flat = [leaf.clone().requires_grad_(name in wanted) for name, leaf in zip(names, leaves, strict=True)]
        y, hT = run(x, h0, [DirectionWeights(*flat[:4], None), DirectionWeights(*flat[4:], None)])
        loss = scramble(y, hT)
        with ProductCounter() as counter:
            gradients = torch.autograd.grad(loss, [tensor for tensor in (x, h0, *flat) if tensor.requires_grad])
        return gradients, counter.count

    def by_hand(x, h0, weights):
        return layer.one_state_layer(RECURRENCES[mode], x, walk, h0, weights, torch.float64)

    def by_autograd(x, h0, weights):
        return differentiable.one_state_layer(RECURRENCES[mode], x, walk, h0, weights)

    together, _ = gradients_and_products(names, by_hand)
    for gradient, expected in zip(together, gradients_and_products(names, by_autograd)[0], strict=True):
        torch.testing.assert_close(gradient, expected)
    blocks = 2 if mode == "GRU" else 1  # into how many blocks of columns the input's product flows
    for name, expected in zip(names, together, strict=True):
        (alone,), products = gradients_and_products([name], by_hand)
        torch.testing.assert_close(alone, expected)
        beside_the_loop = {"x": 2 * blocks, "weight_ih": blocks, "weight_hh": 1}.get(name.partition("_l0")[0], 0)
        assert products == 2 * len(walk.batch_sizes) + beside_the_loop, name
