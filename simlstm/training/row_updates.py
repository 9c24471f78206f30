"""AdamW that leaves alone the rows of a table which a step does not use."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class RowwiseAdamW(torch.optim.AdamW):
    """AdamW; a parameter whose gradient is sparse is updated in the rows that the gradient has, and nowhere else.

    A dense update passes over the whole table, its gradient and both moments in each step, whatever the batch: for
    30,522 rows of 384 numbers some 400 MB, more than the rest of a small batch needs. Here a step costs what its
    tokens cost.

    A row's update is Adam's without a first moment, lr * g / sqrt(v), with v decaying at the steps that use the row
    only (the "lazy" Adam of TensorFlow Addons and of torch.optim.SparseAdam). With a first moment, a row goes on moving
    for some tens of steps after the step that used it, by about lr * g / sqrt(v) in all; that is done at once here. So
    rates mean the same in both, while rows that nearly every batch uses lose the smoothing over steps.

    Sparse gradients come from ``nn.Embedding(..., sparse=True)``. Weight decay must be 0 for such a parameter. A step
    that a GradScaler found to overflow is left out here as in the fused kernel, without waiting for the device.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Do one step; arguments and result as `torch.optim.AdamW.step`."""
        sparse = [
            (group, parameter, parameter.grad)
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None and parameter.grad.is_sparse
        ]
        for _, parameter, _ in sparse:
            parameter.grad = None
        loss: float | None = super().step(closure)
        for group, parameter, gradient in sparse:
            self._update_rows(group, parameter, gradient)
            parameter.grad = gradient
        return loss

    def _update_rows(self, group: dict[str, Any], parameter: Tensor, gradient: Tensor) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        overflow: Tensor | None = getattr(self, "found_inf", None)
        kept = None if overflow is None else overflow.to(parameter.device).reshape(()) == 0
        state["step"] += 1 if kept is None else kept
        _, beta2 = group["betas"]
        gradient = gradient.coalesce()
        rows, values = gradient.indices()[0], gradient.values()
        before = state["exp_avg_sq"].index_select(0, rows)
        second = (before * beta2).addcmul_(values, values, value=1 - beta2)
        state["exp_avg_sq"].index_copy_(0, rows, second if kept is None else torch.where(kept, second, before))
        correction = (1 - beta2 ** state["step"]).sqrt()  # stays on its device: nothing waits for a GPU
        update = values / second.sqrt_().div_(correction).add_(group["eps"])
        update = update if kept is None else torch.where(kept, update, 0)
        parameter.index_add_(0, rows, update, alpha=-group["lr"])


def clip_gradients(parameters: Iterable[nn.Parameter], largest: float) -> Tensor:
    """Cut all gradients together to a norm, as `torch.nn.utils.clip_grad_norm_` does; sparse ones, too.

    Args:
        parameters: Those with gradients; a sparse gradient is summed up by row, in place.
        largest: Of the norm of all gradients together.

    Returns:
        The norm before the cut, [].
    """
    dense, values = _dense_and_rows(parameters)
    if not values:
        return nn.utils.clip_grad_norm_(dense, largest)
    norm = nn.utils.get_total_norm([*(parameter.grad for parameter in dense if parameter.grad is not None), *values])
    nn.utils.clip_grads_with_norm_(dense, largest, norm)
    factor = torch.clamp(largest / (norm + 1e-6), max=1.0)
    for rows in values:
        rows.mul_(factor)
    return norm


def largest_gradient(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Return the largest magnitude in all gradients, [], which is finite if all are.

    Args:
        parameters: Those with gradients; a sparse gradient is summed up by row, in place.
    """
    dense, values = _dense_and_rows(parameters)
    gradients = [parameter.grad for parameter in dense if parameter.grad is not None]
    return nn.utils.get_total_norm([*gradients, *values], float("inf"))


def _dense_and_rows(parameters: Iterable[nn.Parameter]) -> tuple[list[nn.Parameter], list[Tensor]]:
    """Return the parameters with dense gradients, and the values of the sparse ones, summed up by row in place."""
    dense: list[nn.Parameter] = []
    values: list[Tensor] = []
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
            values.append(parameter.grad.values())
        else:
            dense.append(parameter)
    return dense, values
