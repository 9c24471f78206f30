"""bf16, fp16 and autocast: torch's dtypes, and an error no larger than torch's own."""

import pytest
import torch
from lstm_cases import WIDTH, initial_states, pair, scramble, sequences
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from simlstm.rnn import LSTM, LSTMCell

LENGTHS = [31, 12, 12, 5, 1]
SIZES = {"hidden_size": 24, "bidirectional": True, "num_layers": 2}


def run(module: torch.nn.RNNBase, dtype: torch.dtype, autocast: torch.dtype | None = None) -> list[torch.Tensor]:
    packed = pack_sequence(sequences(LENGTHS, dtype))
    x = packed.data.requires_grad_()
    states = initial_states(module, len(LENGTHS), dtype)
    with torch.autocast("cpu", dtype=autocast, enabled=autocast is not None):
        y, (hT, cT) = module(PackedSequence(x, packed.batch_sizes), states)
    gradients = torch.autograd.grad(scramble(y.data, hT, cT), [x, *states, *module.parameters()])
    return [y.data, hT, cT, *gradients]


def relative_error(actual: torch.Tensor, exact: torch.Tensor) -> float:
    return ((actual.double() - exact).norm() / exact.norm()).item()


def assert_as_precise_as_torchs(ours, theirs, exact):
    for number, (mine, stock, truth) in enumerate(zip(ours, theirs, exact, strict=True)):
        assert mine.dtype == stock.dtype, number
        # Rounding is partly luck: a fifth more than torch's error passes; a lost digit would be 8 times.
        assert relative_error(mine, truth) <= 1.2 * relative_error(stock, truth) + 1e-6, number


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_modules(dtype):
    theirs, ours = pair(dtype, **SIZES)
    exact_layer = LSTM(WIDTH, dtype=torch.float64, **SIZES)
    exact_layer.load_state_dict(theirs.state_dict())
    # The exact run starts from the same rounded inputs.
    packed = pack_sequence([row.double() for row in sequences(LENGTHS, dtype)])
    x = packed.data.requires_grad_()
    states = [state.detach().double().requires_grad_() for state in initial_states(exact_layer, 5, dtype)]
    y, (hT, cT) = exact_layer(PackedSequence(x, packed.batch_sizes), states)
    loss = scramble(y.data, hT, cT)
    exact = [y.data, hT, cT, *torch.autograd.grad(loss, [x, *states, *exact_layer.parameters()])]
    assert_as_precise_as_torchs(run(ours, dtype), run(theirs, dtype), exact)


def test_autocast_over_packed_input():
    theirs, ours = pair(torch.float32, **SIZES)
    exact_layer = LSTM(WIDTH, dtype=torch.float64, **SIZES)
    exact_layer.load_state_dict(theirs.state_dict())
    packed = pack_sequence([row.double() for row in sequences(LENGTHS, torch.float32)])
    x = packed.data.requires_grad_()
    states = [state.detach().double().requires_grad_() for state in initial_states(exact_layer, 5, torch.float32)]
    y, (hT, cT) = exact_layer(PackedSequence(x, packed.batch_sizes), states)
    exact = [
        y.data,
        hT,
        cT,
        *torch.autograd.grad(scramble(y.data, hT, cT), [x, *states, *exact_layer.parameters()]),
    ]
    ours_results = run(ours, torch.float32, torch.bfloat16)
    theirs_results = run(theirs, torch.float32, torch.bfloat16)
    assert_as_precise_as_torchs(ours_results, theirs_results, exact)
    # The products did run in bf16: float32 would be a thousand times closer.
    assert relative_error(ours_results[0], exact[0]) > 1e-4


@pytest.mark.parametrize("x_dtype", [torch.float32, torch.bfloat16])
def test_autocast_over_padded_input_gives_torchs_dtype(x_dtype):
    theirs, ours = pair(torch.float32, **SIZES)
    x = torch.randn(6, 3, WIDTH).to(x_dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, (hT, cT) = ours(x)
        expected, (expected_h, expected_c) = theirs(x)
    assert (y.dtype, hT.dtype, cT.dtype) == (expected.dtype, expected_h.dtype, expected_c.dtype)
    torch.testing.assert_close(y, expected, rtol=0.02, atol=0.02)
    torch.testing.assert_close(cT, expected_c, rtol=0.02, atol=0.03)


def test_autocast_leaves_float64_alone():
    _, ours = pair(bidirectional=True)
    packed = pack_sequence(sequences([4, 2]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = ours(packed)
    assert torch.equal(y.data, ours(packed)[0].data)


def test_backward_inside_autocast_is_the_same():
    _, ours = pair(torch.float32, **SIZES)
    packed = pack_sequence(sequences([4, 2], torch.float32))
    loss = ours(packed)[0].data.sum()
    outside = torch.autograd.grad(loss, list(ours.parameters()), retain_graph=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = torch.autograd.grad(loss, list(ours.parameters()))
    for first, second in zip(outside, inside, strict=True):
        assert torch.equal(first, second)


def test_second_derivatives_under_autocast_are_finite_and_typed():
    _, ours = pair(torch.float32, bidirectional=True, proj_size=2)
    packed = pack_sequence(sequences([4, 2], torch.float32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = ours(packed)
    first = torch.autograd.grad(y.data.sin().sum(), list(ours.parameters()), create_graph=True)
    second = torch.autograd.grad(sum(gradient.square().sum() for gradient in first), list(ours.parameters()))
    for parameter, gradient in zip(ours.parameters(), second, strict=True):
        assert gradient.dtype == parameter.dtype
        assert gradient.isfinite().all()


def test_projection_in_bf16():
    theirs, ours = pair(torch.bfloat16, hidden_size=24, proj_size=7, bidirectional=True)
    exact = LSTM(WIDTH, 24, proj_size=7, bidirectional=True, dtype=torch.float64)
    exact.load_state_dict(theirs.state_dict())
    packed = pack_sequence(sequences(LENGTHS, torch.bfloat16))
    truth = exact(PackedSequence(packed.data.double(), packed.batch_sizes))[0].data
    errors = [relative_error(module(packed)[0].data, truth) for module in (ours, theirs)]
    assert errors[0] <= 1.2 * errors[1]
    ours(packed)[0].data.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in ours.parameters())


@pytest.mark.parametrize("autocast", [False, True])
def test_cell_in_bf16(autocast):
    dtype = torch.float32 if autocast else torch.bfloat16
    torch.manual_seed(0)
    theirs = torch.nn.LSTMCell(8, 16, dtype=dtype)
    ours = LSTMCell(8, 16, dtype=dtype)
    exact = LSTMCell(8, 16, dtype=torch.float64)
    for cell in (ours, exact):
        cell.load_state_dict(theirs.state_dict())
    x, h, c = (torch.randn(32, size).to(dtype) for size in (8, 16, 16))
    results = []
    for cell in (ours, theirs, exact):
        wide = torch.float64 if cell is exact else dtype
        inputs = [tensor.to(wide).requires_grad_() for tensor in (x, h, c)]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            outputs = cell(inputs[0], tuple(inputs[1:]))
        results.append([*outputs, *torch.autograd.grad(scramble(*outputs), [*inputs, *cell.parameters()])])
    assert_as_precise_as_torchs(*results)


@pytest.mark.parametrize("kind", ["packed", "padded", "lengths"])
def test_autocast_brings_input_and_states_together(kind):
    """What comes out of a layer below is bf16 under autocast; the caller's states are float32."""
    layer = LSTM(WIDTH, 5, bidirectional=True)
    x = torch.randn(3, 2, WIDTH).bfloat16()
    states = tuple(torch.randn(2, 2, 5) for _ in range(2))
    form = {
        "packed": PackedSequence(x.flatten(0, 1), torch.tensor([2, 2, 2])),
        "padded": x,
        "lengths": (x, torch.tensor([3, 3])),
    }[kind]
    with torch.autocast("cpu", torch.bfloat16):
        y, (hT, _) = layer(form, states)
        expected, _ = layer(x.float(), states)
    dtype = torch.float32 if kind == "packed" else torch.bfloat16
    assert (getattr(y, "data", y).dtype, hT.dtype) == (dtype, dtype)
    # The same products in bf16; h alone is rounded once more where the output is bf16.
    torch.testing.assert_close(getattr(y, "data", y).view(3, 2, 10).bfloat16(), expected)
    with pytest.raises(RuntimeError, match=r"hidden\[0\] must have the input's dtype torch.float64, got torch.float32"):
        layer.double()(x.double(), states)
