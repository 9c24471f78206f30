"""GRU and RNN in bf16, fp16 and under autocast: torch's dtypes, and an error no larger than torch's own."""

import pytest
import torch
from lstm_cases import WIDTH, scramble, sequences
from one_state_cases import MODES, initial_state, make, pair
from torch.nn.utils.rnn import PackedSequence, pack_sequence

LENGTHS = [31, 12, 12, 5, 1]
SIZES = {"hidden_size": 24, "bidirectional": True, "num_layers": 2}
pytestmark = pytest.mark.parametrize("mode", MODES)


def run(module, rounded_to, dtype, autocast=None):
    """Run a module of the given dtype on inputs that were rounded to another; return results and gradients."""
    packed = pack_sequence([row.to(dtype) for row in sequences(LENGTHS, rounded_to)])
    x = packed.data.requires_grad_()
    h0 = initial_state(module, len(LENGTHS), rounded_to).detach().to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype=autocast, enabled=autocast is not None):
        y, hT = module(PackedSequence(x, packed.batch_sizes), h0)
    return [y.data, hT, *torch.autograd.grad(scramble(y.data, hT), [x, h0, *module.parameters()])]


def relative_error(actual, truth):
    return ((actual.double() - truth).norm() / truth.norm()).item()


def errors_of_ours_and_torchs(mode, dtype, autocast=None):
    """Return two tensors [seeds, results] of relative errors against float64, after comparing dtypes."""
    errors = []
    for seed in range(9):
        torch.manual_seed(seed)
        modules = [make(mode, library, input_size=WIDTH, dtype=dtype, **SIZES) for library in ("ours", "torch")]
        exact = make(mode, input_size=WIDTH, dtype=torch.float64, **SIZES)
        for module in (modules[0], exact):
            module.load_state_dict(modules[1].state_dict())
        ours, theirs = (run(module, dtype, dtype, autocast) for module in modules)
        assert [result.dtype for result in ours] == [result.dtype for result in theirs]
        truths = run(exact, dtype, torch.float64)
        errors.append(
            [[relative_error(*pair) for pair in zip(results, truths, strict=True)] for results in (ours, theirs)]
        )
    return torch.tensor(errors).unbind(1)


def assert_as_precise_as_torchs(ours, theirs):
    # Rounding is partly luck, most of all which side of a relu's kink a sum falls on; a lost digit would be 8 times.
    ratios = (ours / theirs).log().mean(0).exp()
    assert (ratios <= 2).all()
    assert ratios.log().mean().exp() <= 1.2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_modules(mode, dtype):
    assert_as_precise_as_torchs(*errors_of_ours_and_torchs(mode, dtype))


def test_autocast_over_packed_input(mode):
    ours, theirs = errors_of_ours_and_torchs(mode, torch.float32, torch.bfloat16)
    assert_as_precise_as_torchs(ours, theirs)
    # The products did run in bf16: float32 would be a thousand times closer.
    assert (ours[:, 0] > 1e-4).all()


@pytest.mark.parametrize("x_dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("h0_dtype", [None, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", ["packed", "padded", "unbatched"])
def test_autocast_gives_torchs_dtypes(mode, layout, x_dtype, h0_dtype):
    theirs, ours = pair(mode, torch.float32, **SIZES)
    rows = sequences([6, 6, 6], x_dtype)
    x = {"packed": pack_sequence(rows), "padded": torch.stack(rows, 1), "unbatched": rows[0]}[layout]
    arguments = [x]
    if h0_dtype is not None:
        h0 = initial_state(ours, 3, h0_dtype).detach()
        arguments.append(h0[:, 0] if layout == "unbatched" else h0)
    results = []
    for module in (ours, theirs):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y, hT = module(*arguments)
        results.append((y.data, hT))
    # bf16 keeps 8 bits of sums up to 2, at every step of two layers. assert_close compares dtypes, too.
    torch.testing.assert_close(*results, rtol=0.02, atol=0.03)


def test_autocast_leaves_float64_alone(mode):
    _, ours = pair(mode, bidirectional=True)
    packed = pack_sequence(sequences([4, 2]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = ours(packed)
    assert torch.equal(y.data, ours(packed)[0].data)


def test_backward_inside_autocast_is_the_same(mode):
    _, ours = pair(mode, torch.float32, **SIZES)
    loss = ours(pack_sequence(sequences([4, 2], torch.float32)))[0].data.sum()
    outside = torch.autograd.grad(loss, list(ours.parameters()), retain_graph=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = torch.autograd.grad(loss, list(ours.parameters()))
    for first, second in zip(outside, inside, strict=True):
        assert torch.equal(first, second)


def test_second_derivatives_under_autocast_are_finite_and_typed(mode):
    _, ours = pair(mode, torch.float32, bidirectional=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = ours(pack_sequence(sequences([4, 2], torch.float32)))
    first = torch.autograd.grad(y.data.sin().sum(), list(ours.parameters()), create_graph=True)
    second = torch.autograd.grad(sum(gradient.square().sum() for gradient in first), list(ours.parameters()))
    for parameter, gradient in zip(ours.parameters(), second, strict=True):
        assert gradient.dtype == parameter.dtype
        assert gradient.isfinite().all()
