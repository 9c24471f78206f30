"""The native kernels against torch operations in float64, for every instruction set this processor runs."""

import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from native_cases import INSTRUCTION_SETS, exact, native, needs_library, output_gradients, random_case, worst
from torch.nn.utils.rnn import pack_sequence

from simlstm.rnn import LSTM, prepacked
from simlstm.rnn.backends.native import forced
from simlstm.rnn.backends.native.lstm import can_run, lstm_layer
from simlstm.rnn.walk import PackedWalk

pytestmark = [needs_library, pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)]

# float32 keeps 6e-8 of a number; sums over hidden units, inputs and steps lose some ten of those.
OUTPUTS = 1e-5
GRADIENTS = 1e-4


@pytest.fixture(autouse=True)
def one_instruction_set(instruction_set):
    with forced(instruction_set):
        yield


def check(case):
    (outputs, gradients), (exact_outputs, exact_gradients) = native(case), exact(case)
    assert worst(outputs, exact_outputs) < OUTPUTS
    assert worst(gradients, exact_gradients) < GRADIENTS


# Hidden sizes around every vector width and panel depth, batches around every tile height.
@pytest.mark.parametrize("hidden_size", [1, 3, 4, 7, 8, 9, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200])
def test_values_and_gradients_at_every_kind_of_hidden_size(hidden_size):
    check(random_case([6, 5, 5, 3, 1, 1, 1], 10, hidden_size))


@pytest.mark.parametrize("input_size", [1, 2, 15, 16, 17, 64, 100, 128, 129, 300])
def test_values_and_gradients_at_every_kind_of_input_size(input_size):
    check(random_case([4, 2, 1], input_size, 20))


@pytest.mark.parametrize("sequences", [1, 2, 3, 5, 6, 7, 13, 24, 25, 97, 130])
@pytest.mark.parametrize("directions", [1, 2])
def test_values_and_gradients_at_every_kind_of_batch(sequences, directions):
    lengths = [1 + (7 * index) % 9 for index in range(sequences)]
    check(random_case(lengths, 5, 18, directions=directions, bias=sequences % 2 == 0))


def test_more_rows_than_the_weight_gradient_takes_at_once():
    check(random_case([40] * 10 + [17] * 20 + [1] * 5, 7, 20))


def test_a_long_sequence():
    check(random_case([700, 3], 4, 9))


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=40),
    input_size=st.integers(1, 70),
    hidden_size=st.integers(1, 70),
    directions=st.sampled_from([1, 2]),
    bias=st.booleans(),
    threads=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_any_shape(instruction_set, lengths, input_size, hidden_size, directions, bias, threads, seed):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        check(random_case(lengths, input_size, hidden_size, directions=directions, bias=bias, seed=seed))
    finally:
        torch.set_num_threads(before)


@settings(max_examples=25)
@given(strides=st.lists(st.integers(1, 3), min_size=8, max_size=8), offset=st.integers(0, 5), transposed=st.booleans())
def test_any_strides(instruction_set, strides, offset, transposed):
    """Tensors that are views into wider memory, or transposed, give what their copies give."""
    case = random_case([5, 3, 3, 1], 6, 10)

    def spread(tensor, stride):
        if transposed:
            memory = torch.full([*reversed(tensor.shape)], torch.nan)
            view = memory.permute(*reversed(range(tensor.dim())))
        else:
            memory = torch.full([*tensor.shape[:-1], offset + stride * tensor.shape[-1]], torch.nan)
            view = memory[..., offset::stride]
        view.copy_(tensor.detach())
        return view.requires_grad_()

    x, h0, c0 = (spread(tensor, stride) for tensor, stride in zip(case[0:1] + case[2:4], strides, strict=False))
    weights = [
        direction._replace(
            w_ih=spread(direction.w_ih, strides[3]),
            w_hh=spread(direction.w_hh, strides[4]),
            b_ih=spread(direction.b_ih, strides[5]),
            b_hh=spread(direction.b_hh, strides[6]),
        )
        for direction in case.weights
    ]
    strided = case._replace(x=x, h0=h0, c0=c0, weights=weights)
    outputs, strided_outputs = lstm_layer(*case), lstm_layer(*strided)
    wanted = output_gradients(outputs)
    gradients = torch.autograd.grad(outputs, case.leaves(), wanted)
    strided_gradients = torch.autograd.grad(strided_outputs, strided.leaves(), [spread(g, strides[7]) for g in wanted])
    for result, expected in zip([*strided_outputs, *strided_gradients], [*outputs, *gradients], strict=True):
        assert torch.equal(result, expected)


def test_rows_do_not_depend_on_their_batch():
    """Bit for bit: alone, in a batch, on one thread or several."""
    case = random_case([9] * 30 + [4] * 50 + [1] * 70, 33, 40)
    with torch.no_grad():
        whole, _, _ = lstm_layer(*case)
        alone_sizes = PackedWalk((1,) * 9, torch.device("cpu"))
        offsets = [sum(case.walk.batch_sizes[:step]) for step in range(9)]
        for sequence in (0, 1, 29):
            rows = torch.tensor([offset + sequence for offset in offsets])
            alone, _, _ = lstm_layer(
                case.x[rows],
                alone_sizes,
                case.h0[:, sequence : sequence + 1],
                case.c0[:, sequence : sequence + 1],
                case.weights,
            )
            assert torch.equal(alone, whole[rows])


def test_bits_do_not_depend_on_threads_or_on_the_call():
    case = random_case([9] * 30 + [4] * 50 + [1] * 70, 33, 40)
    expected = native(case)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3, 8):
            torch.set_num_threads(threads)
            for _ in range(2):
                outputs, gradients = native(case)
                for result, value in zip([*outputs, *gradients], [*expected[0], *expected[1]], strict=True):
                    assert torch.equal(result, value)
    finally:
        torch.set_num_threads(before)


def test_gradients_that_nobody_wants_change_no_other():
    case = random_case([5, 3, 1], 6, 10)
    leaves = case.leaves()
    outputs = lstm_layer(*case)
    wanted = output_gradients(outputs)
    expected = torch.autograd.grad(outputs, leaves, wanted)
    for index, leaf in enumerate(leaves):
        for other in leaves:
            other.requires_grad_(other is leaf)
        (gradient,) = torch.autograd.grad(lstm_layer(*case), [leaf], wanted)
        assert torch.equal(gradient, expected[index])
        for other in leaves:
            other.requires_grad_(True)


@pytest.mark.parametrize("used", [0, 1, 2])
def test_gradients_of_one_output_alone(used):
    case = random_case([5, 3, 1], 6, 10)
    ours = torch.autograd.grad(lstm_layer(*case)[used].square().sum(), case.leaves())
    with forced("portable"):
        theirs = torch.autograd.grad(lstm_layer(*case)[used].square().sum(), case.leaves())
    assert worst(ours, [gradient.double() for gradient in theirs]) < GRADIENTS


def test_the_two_biases_get_gradients_of_their_own():
    layer = LSTM(3, 4)
    layer(torch.randn(5, 2, 3))[0].sum().backward()
    layer.bias_ih_l0.grad.zero_()
    assert layer.bias_hh_l0.grad.abs().sum() > 0


def test_large_inputs_saturate_without_nan():
    case = random_case([4, 2], 6, 10)
    huge = case._replace(x=(case.x.detach() * 1e20).requires_grad_())
    outputs, gradients = native(huge)
    assert all(tensor.isfinite().all() for tensor in [*outputs, *gradients[1:3]])


def test_nan_stays_where_it_came_from():
    case = random_case([4, 3, 2], 6, 40)
    x = case.x.detach().clone()
    x[1] = torch.nan  # the second sequence's first row
    with torch.no_grad():
        poisoned, hT, cT = lstm_layer(*case._replace(x=x))
        clean, _, _ = lstm_layer(*case)
    assert poisoned[1, :40].isnan().all()
    assert hT[0, 1].isnan().all()
    assert cT[0, 1].isnan().all()
    others = torch.tensor([0, 2, 3, 5, 6, 8])  # rows of the first and third sequence
    assert torch.equal(poisoned[others], clean[others])


def test_several_python_threads_at_once():
    case = random_case([9] * 20 + [4] * 20, 33, 40)
    with torch.no_grad():
        expected = lstm_layer(*case)[0]
        results = []

        def work():
            with torch.no_grad():
                for _ in range(20):
                    results.append(torch.equal(lstm_layer(*case)[0], expected))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [True] * 80


def test_what_the_kernels_do_not_serve_is_left_to_torch_operations():
    case = random_case([3, 1], 4, 5)
    assert can_run(case.x, case.walk, case.h0, case.c0, case.weights)
    assert not can_run(case.x.double(), case.walk, case.h0, case.c0, case.weights)
    assert not can_run(case.x, case.walk, case.h0, case.c0.double(), case.weights)
    assert not can_run(case.x[:0], case.walk, case.h0, case.c0, case.weights)
    assert not can_run(case.x.to("meta"), case.walk, case.h0, case.c0, case.weights)
    projected = [direction._replace(w_hr=torch.zeros(2, 5)) for direction in case.weights]
    assert not can_run(case.x, case.walk, case.h0, case.c0, projected)
    half = [direction._replace(w_hh=direction.w_hh.bfloat16()) for direction in case.weights]
    assert not can_run(case.x, case.walk, case.h0, case.c0, half)


def test_prepacked_weights_give_the_same_bits(instruction_set):
    layer = LSTM(33, 40, num_layers=2, bidirectional=True)
    for lengths in ([12], [9] * 30 + [1] * 40):
        packed = pack_sequence([torch.randn(length, 33) for length in lengths])
        with torch.inference_mode():
            expected = layer(packed)[0].data
            with prepacked(layer):
                assert torch.equal(layer(packed)[0].data, expected)
                with prepacked(layer):
                    assert torch.equal(layer(packed)[0].data, expected)
                assert torch.equal(layer(packed)[0].data, expected)
    with prepacked(layer):  # in training, too: autograd sees no difference
        layer(packed)[0].data.sum().backward()
    assert layer.weight_hh_l1.grad.abs().sum() > 0


def test_prepacked_weights_may_not_change_and_are_let_go(instruction_set):
    layer, x = LSTM(3, 4), torch.randn(5, 2, 3)
    with prepacked(layer):
        layer(x)
        with torch.no_grad():
            layer.weight_hh_l0 += 1
        with pytest.raises(RuntimeError, match="changed in place while they were prepacked"):
            layer(x)
    changed = layer(x)[0]
    with torch.no_grad():
        layer.weight_hh_l0 -= 1
    assert not torch.allclose(layer(x)[0], changed)


def test_prepacking_what_the_kernels_do_not_serve_changes_nothing(instruction_set):
    for layer in (LSTM(3, 4, proj_size=2), LSTM(3, 4, dtype=torch.float64)):
        x = torch.randn(5, 2, 3, dtype=layer.weight_ih_l0.dtype)
        with prepacked(layer):
            inside = layer(x)[0]
        assert torch.equal(inside, layer(x)[0])
