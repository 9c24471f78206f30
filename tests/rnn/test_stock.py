"""Torch's own operator as a backend: on CUDA it is cuDNN, here it is whatever torch takes, with the same face."""

import pytest
import torch

from simlstm.rnn.backends import stock, torch_ops
from tests.rnn.stock_cases import gradients_of, make_case


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_equals_torch_operations(directions, bias):
    case = make_case(directions=directions, bias=bias)
    ours = gradients_of(lambda *call: stock.lstm_layer(*call, torch.float64), case)
    expected = gradients_of(lambda *call: torch_ops.lstm_layer(*call, torch.float64), case)
    for name, tensor in expected.items():
        torch.testing.assert_close(ours[name], tensor, msg=lambda text, name=name: f"{name}: {text}")


def test_gradients_can_be_differentiated():
    case = make_case(directions=2, bias=True)

    def of_x(x):
        y, hT, cT = stock.lstm_layer(x, case.walk, case.h0, case.c0, case.weights, torch.float64)
        return y, hT, cT

    x = case.x.detach().requires_grad_()
    assert torch.autograd.gradcheck(of_x, [x])
    assert torch.autograd.gradgradcheck(of_x, [x])


def test_what_nobody_asks_for_gets_no_gradient():
    case = make_case(directions=2, bias=True)
    x = case.x.detach().requires_grad_()
    y, hT, _ = stock.lstm_layer(x, case.walk, case.h0.detach(), case.c0.detach(), case.weights, torch.float64)
    (dx,) = torch.autograd.grad([hT.sum()], [x])
    assert dx.isfinite().all()
    assert y.requires_grad


def test_without_gradients_nothing_is_kept():
    case = make_case(directions=2, bias=True)
    with torch.inference_mode():
        y, _, _ = stock.lstm_layer(case.x, case.walk, case.h0, case.c0, case.weights, torch.float64)
    expected, _, _ = torch_ops.lstm_layer(case.x, case.walk, case.h0, case.c0, case.weights, torch.float64)
    torch.testing.assert_close(y, expected)


def test_lower_precision_gives_the_dtypes_of_the_states():
    case = make_case(directions=2, bias=True)
    inputs = [tensor.float() for tensor in (case.x, case.h0, case.c0)]
    weights = [w.to(torch.float32) for w in case.weights]
    y, hT, cT = stock.lstm_layer(inputs[0], case.walk, inputs[1], inputs[2], weights, torch.bfloat16)
    expected, _, _ = torch_ops.lstm_layer(case.x, case.walk, case.h0, case.c0, case.weights, torch.float64)
    assert (y.dtype, hT.dtype, cT.dtype) == (torch.float32,) * 3
    # Half a unit in the last place of bfloat16 is 2**-9; sums of a dozen such errors stay below a hundredth.
    torch.testing.assert_close(y.double(), expected, rtol=0, atol=0.01)


def test_is_not_taken_for_cudnn_on_the_cpu():
    case = make_case(directions=2, bias=True)
    assert not stock.can_run(case.x, case.weights, torch.float32)
