"""What reaches the kernels fits them: everything else is refused in words or left to torch operations."""

import threading

import pytest
import torch
from native_cases import needs_library, random_case
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from simlstm.rnn import GRU, LSTM, prepacked
from simlstm.rnn.backends.native import prepacked as registry
from simlstm.rnn.backends.native.frozen import FrozenRecurrence
from simlstm.rnn.backends.native.lstm import can_run

pytestmark = needs_library


@pytest.fixture
def default_dtype(request):
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)
    yield
    torch.set_default_dtype(before)


def pair(**arguments):
    torch.manual_seed(0)
    stock = torch.nn.LSTM(5, 7, bidirectional=True, dtype=torch.float32, **arguments)
    ours = LSTM(5, 7, bidirectional=True, dtype=torch.float32, **arguments)
    ours.load_state_dict(stock.state_dict())
    return stock, ours


def draw(*size):
    return torch.randn(size, dtype=torch.float32, generator=torch.Generator().manual_seed(3))


def sentences():
    return pack_sequence([draw(length, 5) for length in (6, 4, 1)])


@pytest.mark.parametrize("sizes", [[5, 3, -2], [500] * 4 + [-1400]])
def test_negative_batch_sizes_are_refused(sizes):
    _, ours = pair()
    with pytest.raises(ValueError, match="batch_sizes must not be negative"):
        ours(PackedSequence(draw(sum(sizes), 5), torch.tensor(sizes)))
    with torch.inference_mode(), prepacked(ours), pytest.raises(ValueError, match="must not be negative"):
        ours(PackedSequence(draw(sum(sizes), 5), torch.tensor(sizes)))


@pytest.mark.parametrize("default_dtype", [torch.float64, torch.float16, torch.bfloat16], indirect=True)
def test_the_default_dtype_is_not_what_is_computed_in(default_dtype):
    stock, ours = pair()
    x = sentences()
    theirs, mine = stock(x)[0].data, ours(x)[0].data
    assert mine.dtype is torch.float32
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
    theirs.sum().backward()
    mine.sum().backward()
    torch.testing.assert_close(ours.weight_hh_l0.grad, stock.weight_hh_l0.grad, rtol=1e-4, atol=1e-5)
    with torch.inference_mode(), prepacked(ours):
        assert torch.equal(ours(x)[0].data, mine)
    frozen = FrozenRecurrence([ours.weight_hh_l0.detach()], "float32")
    table = frozen.fold(draw(3, 5), [ours.weight_ih_l0.detach()], [ours.bias_ih_l0.detach()])
    result = frozen.run(table, torch.tensor([0, 1, 2]), [2, 1], rows=True, maximum=True, total=False, last=False)
    assert result.rows.dtype is torch.float32
    assert result.rows.abs().max() < 1


def test_the_default_device_is_not_where_is_computed():
    stock, ours = pair()
    x = sentences()
    gru, padded, lengths = GRU(5, 7), draw(6, 3, 5), torch.tensor([6, 1, 3])
    with torch.device("meta"):
        torch.testing.assert_close(ours(x)[0].data, stock(x)[0].data, rtol=1e-5, atol=1e-6)
        assert gru((padded, lengths))[0].isfinite().all()


def test_weights_that_do_not_fit_never_reach_the_kernels():
    _, ours = pair()
    case = random_case([3, 1], 5, 7)
    for name, size in (("w_hh", (4, 2)), ("b_ih", (1,)), ("w_ih", (28, 4))):
        weights = [case.weights[0]._replace(**{name: torch.zeros(size)})]
        assert not can_run(case.x, case.walk, case.h0[:1], case.c0[:1], weights)
    ours.weight_hh_l0 = torch.nn.Parameter(torch.zeros(4, 2))
    with pytest.raises(RuntimeError):
        ours(sentences())


def test_the_operator_does_not_believe_sizes_either():
    _, ours = pair()
    weights = [parameter.detach() for parameter in ours.parameters()]
    with pytest.raises((RuntimeError, ValueError)):
        torch.ops.simlstm.lstm_layer(draw(4, 3, 50), None, None, draw(2, 3, 7), draw(2, 3, 700), weights)


def test_states_elsewhere_are_not_read():
    _, ours = pair()
    with pytest.raises((RuntimeError, NotImplementedError)):
        ours(sentences(), (torch.zeros(2, 3, 7, device="meta"), torch.zeros(2, 3, 7, device="meta"))).data.sum().item()


def test_tracers_and_fake_tensors_see_torch_operations():
    _, ours = pair()
    x = draw(4, 3, 5)
    with torch.no_grad():
        expected = ours(x)[0]
        graph = make_fx(lambda x: ours(x)[0], tracing_mode="real")(x)
        torch.testing.assert_close(graph(x), expected, rtol=1e-5, atol=1e-6)
    with torch._subclasses.FakeTensorMode():
        assert LSTM(5, 7)(torch.randn(4, 3, 5))[0].shape == (4, 3, 7)


@pytest.mark.parametrize("kind", [LSTM, GRU])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batched_gradients(kind, dtype):
    layer = kind(5, 7, bidirectional=True, dtype=dtype)
    x = draw(4, 3, 5).to(dtype).requires_grad_()
    y = layer(x)[0]
    v = draw(6, *y.shape).to(dtype)
    (batched,) = torch.autograd.grad(y, x, v, is_grads_batched=True, retain_graph=True)
    singles = torch.stack([torch.autograd.grad(y, x, one, retain_graph=True)[0] for one in v])
    torch.testing.assert_close(batched, singles, rtol=1e-4, atol=1e-5)


def test_tied_and_replaced_weights_are_told_apart_when_prepacked():
    _, a = pair()
    _, b = pair()
    with torch.no_grad():
        b.weight_ih_l0 += 1
    b.weight_hh_l0 = a.weight_hh_l0
    stacked = LSTM(14, 7, num_layers=2, bidirectional=True)
    stacked.weight_hh_l1 = stacked.weight_hh_l0
    x, wide = sentences(), pack_sequence([draw(length, 14) for length in (6, 4, 1)])
    with torch.inference_mode():
        expected, expected_wide = b(x)[0].data, stacked(wide)[0].data
        with prepacked(a), prepacked(stacked):
            assert torch.equal(b(x)[0].data, expected)
            assert torch.equal(stacked(wide)[0].data, expected_wide)
            zeros = {name: torch.zeros_like(value) for name, value in a.named_parameters()}
            assert torch.func.functional_call(a, zeros, (x,))[0].data.abs().max() == 0
            a.weight_hh_l0 = torch.nn.Parameter(torch.zeros(28, 7))
            inside = a(x)[0].data
        assert torch.equal(a(x)[0].data, inside)


def test_promises_may_end_in_any_order():
    _, layer = pair()
    x = sentences()
    first, second = prepacked(layer), prepacked(layer)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert len(registry._packed) == 1
    second.__exit__(None, None, None)
    assert not registry._packed

    def work():
        with torch.inference_mode():
            for _ in range(30):
                with prepacked(layer):
                    layer(x)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not registry._packed


def test_a_layer_made_in_inference_mode_can_be_prepacked():
    with torch.inference_mode():
        layer = LSTM(5, 7)
        expected = layer(sentences())[0].data
        with prepacked(layer):
            assert torch.equal(layer(sentences())[0].data, expected)


def test_hooks_may_hand_saved_tensors_back_in_another_form():
    _, layer = pair()
    x = sentences()
    layer(x)[0].data.sum().backward()
    expected = layer.weight_hh_l0.grad.clone()
    for unpack in (lambda t: t.mT.contiguous().mT if t.dim() == 3 else t, lambda t: t.double() if t.dim() == 3 else t):
        layer.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t, unpack):
            layer(x)[0].data.sum().backward()
        torch.testing.assert_close(layer.weight_hh_l0.grad, expected, rtol=1e-5, atol=1e-6)


def test_the_negative_bit_counts():
    case = random_case([3, 1], 4, 5)
    layer = LSTM(4, 5, bidirectional=True)
    negated = torch._neg_view(case.h0.detach())
    x = PackedSequence(case.x.detach(), torch.tensor(case.walk.batch_sizes))
    torch.testing.assert_close(layer(x, (negated, case.c0))[0].data, layer(x, (-case.h0, case.c0))[0].data)
    y = layer(x)[0].data
    seed = draw(*y.shape)
    (negative,) = torch.autograd.grad(y, layer.weight_hh_l0, torch._neg_view(seed), retain_graph=True)
    (plain,) = torch.autograd.grad(y, layer.weight_hh_l0, -seed)
    torch.testing.assert_close(negative, plain)


def test_the_frozen_recurrence_says_what_does_not_fit():
    with pytest.raises(ValueError, match=r"w_hh must be \(28, 7\)"):
        FrozenRecurrence([draw(20, 7)], "float32")
    frozen = FrozenRecurrence([draw(28, 7)], "float32")
    with pytest.raises(ValueError, match="fold needs float32"):
        frozen.fold(draw(3, 5).double(), [draw(28, 5)], [draw(28)])
    with pytest.raises(ValueError, match="fold needs"):
        frozen.fold(draw(3, 5), [draw(28, 4)], [draw(28)])
    table = frozen.fold(draw(3, 5), [draw(28, 5)], [draw(28)])
    wanted = {"rows": True, "maximum": False, "total": False, "last": False}
    with pytest.raises(ValueError, match="run needs 4 ids"):
        frozen.run(table, torch.tensor([0, 1, 2]), [2, 2], **wanted)
    with pytest.raises(ValueError, match="run needs"):
        frozen.run(table.double(), torch.tensor([0, 1, 2]), [2, 1], **wanted)
