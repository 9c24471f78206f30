"""Gate-order conversions: round trips, and the same cell in every order."""

import itertools

import pytest
import torch

from simlstm.rnn import LSTMCell
from simlstm.rnn.gates import GATE_ORDERS, reorder_gates

H = 3


@pytest.mark.parametrize(("source", "target"), list(itertools.product(GATE_ORDERS, GATE_ORDERS)))
def test_round_trip(source, target):
    for parameter in (torch.randn(4 * H, 5), torch.randn(4 * H)):
        there = reorder_gates(parameter, source=source, target=target)
        assert torch.equal(reorder_gates(there, source=target, target=source), parameter)


@pytest.mark.parametrize("order", list(GATE_ORDERS))
def test_gates_land_where_the_order_says(order):
    rows = torch.tensor(["ifgo".index(gate) for gate in "ifgo"]).repeat_interleave(H)
    converted = reorder_gates(rows, source="torch", target=order)
    assert "".join("ifgo"[index] for index in converted[::H].tolist()) == GATE_ORDERS[order]


def test_onnx_order_is_input_output_forget_cell():
    assert reorder_gates(torch.arange(4), source="torch", target="onnx").tolist() == [0, 3, 1, 2]


@pytest.mark.parametrize("order", list(GATE_ORDERS))
def test_a_cell_written_in_another_order_computes_the_same(order):
    cell = LSTMCell(2, H)
    w_ih, w_hh, b_ih, b_hh = (reorder_gates(p.detach(), source="torch", target=order) for p in cell.parameters())
    x, h, c = torch.randn(4, 2), torch.randn(4, H), torch.randn(4, H)
    stacked = (x @ w_ih.t() + h @ w_hh.t() + b_ih + b_hh).chunk(4, 1)
    gate = dict(zip(GATE_ORDERS[order], stacked, strict=True))
    c_after = gate["f"].sigmoid() * c + gate["i"].sigmoid() * gate["g"].tanh()
    torch.testing.assert_close(cell(x, (h, c)), (gate["o"].sigmoid() * c_after.tanh(), c_after))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "caffe", "target": "torch"}, "source must be one of torch, onnx, keras, ifog, got 'caffe'"),
        ({"source": "torch", "target": ""}, "target must be one of torch, onnx, keras, ifog, got ''"),
    ],
)
def test_unknown_orders_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        reorder_gates(torch.zeros(4), **arguments)


@pytest.mark.parametrize("shape", [(), (6, 2)])
def test_what_does_not_hold_four_gates_is_refused(shape):
    with pytest.raises(ValueError, match="parameter must stack four gates in its first dimension"):
        reorder_gates(torch.zeros(shape), source="torch", target="onnx")
