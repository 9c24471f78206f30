"""LSTMCell: one step, the two products each fused over the four gates."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from simlstm.rnn.plain_gradients import are_batched, differentiable_gradients, needs_plain_operations
from simlstm.rnn.precision import cast_like, gate_dtype, product_dtype, without_autocast


def advance(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Take one LSTM step from gate pre-activations, differentiably to any order.

    Args:
        gates: [..., 4H], pre-activations in torch's order i, f, g, o.
        c: [..., H], the cell state before the step.

    Returns:
        tuple[Tensor, Tensor]: h and c after the step, both [..., H].
    """
    i, f, g, o = gates.chunk(4, dim=-1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


class _CellFunction(torch.autograd.Function):
    """One step with the hand-written backward pass that README.md derives."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h0: Tensor,
        c0: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None,
        b_hh: Tensor | None,
        products: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.products = products
        with without_autocast(x.device):
            gates = x.to(products) @ w_ih.to(products).t()
            gates.addmm_(h0.to(products), w_hh.to(products).t())
            gates = gates.to(gate_dtype(products))
            if b_ih is not None and b_hh is not None:
                gates += b_ih + b_hh
            i, f, g, o = gates.chunk(4, dim=1)
            for gate in (i, f, o):
                gate.sigmoid_()
            g.tanh_()
            c = (f * c0).addcmul_(i, g)
            h = c.tanh().mul_(o)
            ctx.save_for_backward(x, h0, c0, w_ih, w_hh, b_ih, b_hh, gates, c)
            # c is saved: the caller gets one of its own to write into.
            return h.to(h0.dtype), c.to(c0.dtype, copy=True)

    @staticmethod
    def backward(ctx: Any, dh: Tensor | None, dc: Tensor | None) -> tuple[Tensor | None, ...]:
        *inputs, gates, c = ctx.saved_tensors
        needed = ctx.needs_input_grad[:-1]
        with without_autocast(gates.device):
            if torch.is_grad_enabled() or are_batched((dh, dc)):
                gradients = differentiable_gradients(_plain_step, inputs, needed, (dh, dc))
            else:
                gradients = _step_gradients(inputs, needed, gates, c, dh, dc, ctx.products)
        return *cast_like(gradients, inputs), None


def _plain_step(
    x: Tensor, h0: Tensor, c0: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Take one step in operations that autograd follows to any order, never below float32."""
    dtype = gate_dtype(x.dtype)
    with without_autocast(x.device):
        gates = x.to(dtype) @ w_ih.to(dtype).t() + h0.to(dtype) @ w_hh.to(dtype).t()
        if b_ih is not None and b_hh is not None:
            gates = gates + (b_ih + b_hh)
        h, c = advance(gates, c0.to(dtype))
    return h.to(h0.dtype), c.to(c0.dtype)


def _step_gradients(
    inputs: list[Tensor],
    needed: Sequence[bool],
    gates: Tensor,
    c: Tensor,
    dh: Tensor | None,
    dc: Tensor | None,
    products: torch.dtype,
) -> list[Tensor | None]:
    x, h0, c0, w_ih, w_hh, *_ = inputs
    need_x, need_h0, need_c0, need_w_ih, need_w_hh, need_b_ih, need_b_hh = needed
    i, f, g, o = gates.chunk(4, dim=1)
    tanh_c = c.tanh()
    dh = torch.zeros_like(c) if dh is None else dh.to(c.dtype)
    dc_total = dh * o * (1 - tanh_c * tanh_c)
    if dc is not None:
        dc_total += dc
    d_gates = torch.cat(
        [
            dc_total * g * i * (1 - i),
            dc_total * c0 * f * (1 - f),
            dc_total * i * (1 - g * g),
            dh * tanh_c * o * (1 - o),
        ],
        dim=1,
    )
    operand = d_gates.to(products)
    db = d_gates.sum(0) if need_b_ih or need_b_hh else None
    return [
        operand @ w_ih.to(products) if need_x else None,
        operand @ w_hh.to(products) if need_h0 else None,
        dc_total * f if need_c0 else None,
        operand.t() @ x.to(products) if need_w_ih else None,
        operand.t() @ h0.to(products) if need_w_hh else None,
        db if need_b_ih else None,
        db.clone() if db is not None and need_b_hh else None,
    ]


class LSTMCell(nn.RNNCellBase):
    """A long short-term memory cell: torch.nn.LSTMCell's arguments, state_dict and results.

    Args:
        input_size: I, the width of the input.
        hidden_size: H, the width of the states.
        bias: whether to learn b_ih and b_hh.
        device: where the parameters live.
        dtype: of the parameters.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=4, device=device, dtype=dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Take one step.

        Args:
            input: [B, I] or [I].
            hx: h and c before the step, [B, H] or [H]; zeros when not given.

        Returns:
            tuple[Tensor, Tensor]: h and c after the step, [B, H] or [H].

        Raises:
            ValueError: a tensor has neither one nor two dimensions.
            RuntimeError: sizes do not fit (torch.nn.LSTMCell's messages); the input is not floating; or input, states
                and parameters differ in dtype and no autocast brings them together. Unlike torch.nn.LSTMCell, c is
                held to that, too: it would come back in its own dtype, and h in the other.
        """
        if input.dim() not in (1, 2):
            raise ValueError(f"LSTMCell: Expected input to be 1D or 2D, got {input.dim()}D instead")
        is_batched = input.dim() == 2
        x = input if is_batched else input.unsqueeze(0)
        if hx is None:
            zeros = x.new_zeros(x.shape[0], self.hidden_size)
            hx = (zeros, zeros)
        else:
            for index, state in enumerate(hx):
                if state.dim() not in (1, 2):
                    raise ValueError(f"LSTMCell: Expected hx[{index}] to be 1D or 2D, got {state.dim()}D instead")
            if len(hx) != 2:
                raise RuntimeError("lstm_cell expects two hidden states")
            hx = hx if is_batched else (hx[0].unsqueeze(0), hx[1].unsqueeze(0))
        self._check_sizes(x, hx)
        parameters = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        self._check_dtypes(x, hx)
        if needs_plain_operations():
            h, c = _plain_step(x, *hx, *parameters)
        else:
            h, c = _CellFunction.apply(x, *hx, *parameters, product_dtype(x))  # type: ignore[no-untyped-call]
        return (h, c) if is_batched else (h.squeeze(0), c.squeeze(0))

    def _check_sizes(self, x: Tensor, hx: tuple[Tensor, Tensor]) -> None:
        if x.shape[1] != self.input_size:
            raise RuntimeError(f"input has inconsistent input_size: got {x.shape[1]} expected {self.input_size}")
        for index, state in enumerate(hx):
            if state.shape[0] != x.shape[0]:
                raise RuntimeError(
                    f"Input batch size {x.shape[0]} doesn't match hidden{index} batch size {state.shape[0]}"
                )
            if state.shape[1] != self.hidden_size:
                raise RuntimeError(
                    f"hidden{index} has inconsistent hidden_size: got {state.shape[1]}, expected {self.hidden_size}"
                )

    def _check_dtypes(self, x: Tensor, hx: tuple[Tensor, Tensor]) -> None:
        if not x.is_floating_point():
            raise RuntimeError(f"input must have a floating dtype, got {x.dtype}")
        products = product_dtype(x)
        for name, tensor in (
            ("hx[0]", hx[0]),
            ("hx[1]", hx[1]),
            ("weight_ih", self.weight_ih),
            ("weight_hh", self.weight_hh),
            ("bias_ih", self.bias_ih),
            ("bias_hh", self.bias_hh),
        ):
            if tensor is not None and product_dtype(tensor) != products:
                raise RuntimeError(f"{name} must have the input's dtype {x.dtype}, got {tensor.dtype}")
