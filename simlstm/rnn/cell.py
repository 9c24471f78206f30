"""LSTMCell: one step, the two products each fused over the four gates."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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


def _step(
    x: Tensor, h: Tensor, c: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None
) -> tuple[Tensor, Tensor]:
    return advance(F.linear(x, w_ih, b_ih) + F.linear(h, w_hh, b_hh), c)


class _CellFunction(torch.autograd.Function):
    """One step with a hand-written backward pass; README.md derives it."""

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
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        hidden_size = c0.shape[-1]
        gates = x @ w_ih.t() if b_ih is None or b_hh is None else torch.addmm(b_ih + b_hh, x, w_ih.t())
        gates.addmm_(h0, w_hh.t())
        gates[:, : 2 * hidden_size].sigmoid_()
        gates[:, 2 * hidden_size : 3 * hidden_size].tanh_()
        gates[:, 3 * hidden_size :].sigmoid_()
        i, f, g, o = gates.chunk(4, dim=1)
        c = (f * c0).addcmul_(i, g)
        h = c.tanh().mul_(o)
        ctx.save_for_backward(x, h0, c0, w_ih, w_hh, b_ih, b_hh, gates, c)
        return h, c

    @staticmethod
    def backward(ctx: Any, dh: Tensor | None, dc: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        *inputs, gates, c = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _differentiable_backward(ctx, inputs, dh, dc)
        x, h0, c0, w_ih, w_hh, *_ = inputs
        i, f, g, o = gates.chunk(4, dim=1)
        tanh_c = c.tanh()
        d_gates = torch.empty_like(gates)
        di, df, dg, do = d_gates.chunk(4, dim=1)
        if dh is None:
            do.zero_()
            dc = torch.zeros_like(c) if dc is None else dc
        else:
            torch.mul(dh * tanh_c, o * (1 - o), out=do)
            through_h = dh * o * (1 - tanh_c * tanh_c)
            dc = through_h if dc is None else through_h.add_(dc)
        torch.mul(dc * g, i * (1 - i), out=di)
        torch.mul(dc * c0, f * (1 - f), out=df)
        torch.mul(dc * i, 1 - g * g, out=dg)
        need_x, need_h, need_c, need_w_ih, need_w_hh, need_b_ih, need_b_hh = ctx.needs_input_grad
        db = d_gates.sum(0) if need_b_ih or need_b_hh else None
        return (
            d_gates @ w_ih if need_x else None,
            d_gates @ w_hh if need_h else None,
            dc * f if need_c else None,
            d_gates.t() @ x if need_w_ih else None,
            d_gates.t() @ h0 if need_w_hh else None,
            db if need_b_ih else None,
            db if need_b_hh else None,
        )


def _differentiable_backward(
    ctx: Any, inputs: list[Tensor | None], dh: Tensor | None, dc: Tensor | None
) -> tuple[Tensor | None, ...]:
    """Differentiate the plain step, so that the result can itself be differentiated."""
    with torch.enable_grad():
        outputs = _step(*inputs)  # type: ignore[arg-type]
        wanted = [tensor for tensor, needed in zip(inputs, ctx.needs_input_grad, strict=True) if needed]
        reached = [(output, grad) for output, grad in zip(outputs, (dh, dc), strict=True) if grad is not None]
        gradients = iter(
            torch.autograd.grad(
                [output for output, _ in reached],
                wanted,  # type: ignore[arg-type]
                [grad for _, grad in reached],
                create_graph=True,
                allow_unused=True,
            )
        )
    return tuple(next(gradients) if needed else None for needed in ctx.needs_input_grad)


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
            RuntimeError: sizes or dtypes do not fit; torch.nn.LSTMCell's messages.
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
        h, c = _CellFunction.apply(x, *hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
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
