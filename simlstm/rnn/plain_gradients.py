"""What autograd asks beyond one backward pass written by hand: gradients of gradients, and function transforms."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad


def differentiable_gradients(
    function: Callable[..., Sequence[Tensor]],
    inputs: Sequence[Tensor | None],
    needed: Sequence[bool],
    output_gradients: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """Run a function again, in operations that autograd follows, and take gradients with a graph of their own.

    Args:
        function: takes the inputs, returns one tensor for each entry of ``output_gradients``.
        inputs: what the forward pass was given, still joined to the caller's graph.
        needed: whether the gradient of each input is wanted.
        output_gradients: the gradient that reached each output; None where none did.

    Returns:
        list[Tensor | None]: one gradient for each input, None where it is not wanted.
    """
    with torch.enable_grad():
        # A tensor may be given twice (tied weights): as views of their own, each place gets its own gradient.
        places = [None if tensor is None else tensor.view_as(tensor) for tensor in inputs]
        reached = [
            (output, gradient)
            for output, gradient in zip(function(*places), output_gradients, strict=True)
            if gradient is not None
        ]
        wanted = [place for place, is_needed in zip(places, needed, strict=True) if is_needed and place is not None]
        gradients = iter(
            torch.autograd.grad(
                [output for output, _ in reached],
                wanted,
                [gradient for _, gradient in reached],
                create_graph=True,
                allow_unused=True,
            )
        )
    return [next(gradients) if is_needed else None for is_needed in needed]


def needs_plain_operations() -> bool:
    """Return whether a transform is at work that cannot see through an autograd.Function.

    These are torch.func's (grad, vmap, jvp, ...) and forward-mode differentiation.
    """
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def are_operations_recorded() -> bool:
    """Return whether somebody follows or replaces torch operations, so that they must be used and nothing else.

    A tracer (torch.jit.trace, make_fx) would record results without what made them, fake tensors have no memory.
    """
    return torch._C._get_tracing_state() is not None or torch._C._len_torch_dispatch_stack() > 0


def are_batched(gradients: Sequence[Tensor | None]) -> bool:
    """Return whether many gradients were sent at once (``is_grads_batched``), which no operation in place can take."""
    return any(gradient is not None and torch._C._functorch.is_legacy_batchedtensor(gradient) for gradient in gradients)
