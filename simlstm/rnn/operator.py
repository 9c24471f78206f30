"""One recurrent layer as one operator, for torch.compile and torch.export.

A compiler that follows the Python of a layer unrolls its steps, and compiles anew for every number of them. Here it
sees one node, whose layout is only known when it runs. Eager calls do not come this way.

From its forward to its backward pass the operator keeps nothing but its inputs: what a backend wants to keep is its
own business, and how large that is a graph cannot know. So the backward pass runs the layer again, as checkpointing
does: compiled training takes the time of one more forward pass.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from simlstm.rnn.layouts import Layout, PackedLayout, PaddedLayout, RaggedLayout, States
from simlstm.rnn.walk import PackedWalk

# Takes packed rows, their walk, states in packed order and each direction's parameters; returns y and final states.
RunLayer = Callable[[Tensor, PackedWalk, States, list[list[Tensor]]], tuple[Tensor, ...]]


# A CUDA graph cannot hold what reads lengths on the host.
_TAGS = (torch.Tag.pt2_compliant_tag, torch.Tag.cudagraph_unsafe)


class LayerOperator:
    """Defines ``simlstm::<name>`` with its shapes and its backward pass, which is an operator, too.

    The operator takes

    - x: [T, B, I], or packed rows [N, I];
    - lengths: [B] int64 on the CPU, when the sequences of [T, B, I] are not all T long;
    - batch_sizes: [T] int64 on the CPU, when x is packed rows;
    - initial states, [D, B, width] each; those beside packed rows in packed order;
    - weights: the parameters of all D directions, without those that are switched off;

    and returns y, [T, B, D * P] or [N, D * P], and the final states.

    Args:
        name: of the operator.
        run: the layer over packed rows.
        states: how many states there are: 1, or 2 (h and c).
    """

    def __init__(self, name: str, run: RunLayer, states: int) -> None:
        self._run, self._states = run, states
        forward, backward = f"simlstm::{name}", f"simlstm::{name}_backward"
        shared = "Tensor x, Tensor? lengths, Tensor? batch_sizes"
        states_in = ", ".join(["Tensor h0", "Tensor c0"][:states])
        results = ", ".join(["Tensor"] * (1 + states))
        torch.library.define(
            forward,
            f"({shared}, {states_in}, Tensor[] weights) -> ({results})",
            tags=_TAGS,
        )
        torch.library.define(
            backward,
            f"(Tensor?[] gradients, {shared}, Tensor[] states, Tensor[] weights, bool[] needed) -> Tensor[]",
            tags=_TAGS,
        )
        torch.library.impl(forward, "CompositeExplicitAutograd", self._apply)
        torch.library.impl(backward, "CompositeExplicitAutograd", self._apply_backward)
        torch.library.register_fake(forward, self._apply_fake)
        torch.library.register_fake(backward, self._apply_backward_fake)
        torch.library.register_autograd(forward, self._backward, setup_context=self._keep_inputs)
        self._backward_operator = getattr(torch.ops.simlstm, f"{name}_backward").default
        self.overload: torch._ops.OpOverload = getattr(torch.ops.simlstm, name).default

    def _run_in_layout(
        self, x: Tensor, lengths: Tensor | None, batch_sizes: Tensor | None, states: States, weights: list[Tensor]
    ) -> tuple[Tensor, ...]:
        dtype = states[0].dtype
        layout: Layout
        if batch_sizes is not None:
            layout = PackedLayout(PackedSequence(x, batch_sizes))
        elif lengths is not None:
            layout = RaggedLayout(x, lengths, False, dtype)
        else:
            layout = PaddedLayout(x, False, dtype)
        if any(state.shape[1] != layout.sequences for state in states):
            got = ", ".join(str(state.shape[1]) for state in states)
            raise RuntimeError(f"states must be those of {layout.sequences} sequences, got {got}")
        size = len(weights) // states[0].shape[0]
        by_direction = [weights[start : start + size] for start in range(0, len(weights), size)]
        y, *final = self._run(layout.rows, layout.walk, layout.arranged(states), by_direction)
        rows = layout.output(y)
        return rows.data if isinstance(rows, PackedSequence) else rows, *layout.restored(tuple(final), states)

    def _apply(
        self, x: Tensor, lengths: Tensor | None, batch_sizes: Tensor | None, *states_and_weights: Any
    ) -> tuple[Tensor, ...]:
        *states, weights = states_and_weights
        with torch.no_grad():
            return self._run_in_layout(x, lengths, batch_sizes, tuple(states), weights)

    def _apply_fake(
        self, x: Tensor, lengths: Tensor | None, batch_sizes: Tensor | None, *states_and_weights: Any
    ) -> tuple[Tensor, ...]:
        *states, _ = states_and_weights
        directions, _, width = states[0].shape
        y = states[0].new_empty(*x.shape[:-1], directions * width)
        # Padded results are all of one dtype, those beside packed rows each of its initial state's.
        return y, *(state.new_empty(state.shape, dtype=y.dtype if batch_sizes is None else None) for state in states)

    def _keep_inputs(self, ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        *tensors, weights = inputs
        ctx.save_for_backward(*tensors, *weights)
        ctx.set_materialize_grads(False)

    def _backward(self, ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        x, lengths, batch_sizes, *rest = ctx.saved_tensors
        needs_x, _, _, *needs_states, needs_weights = ctx.needs_input_grad
        needed = [needs_x, *needs_states, *needs_weights]
        states, weights = rest[: self._states], rest[self._states :]
        found = iter(self._backward_operator(list(gradients), x, lengths, batch_sizes, states, weights, needed))
        dx, *others = [next(found) if is_needed else None for is_needed in needed]
        return dx, None, None, *others[: self._states], others[self._states :]

    def _apply_backward(
        self,
        gradients: list[Tensor | None],
        x: Tensor,
        lengths: Tensor | None,
        batch_sizes: Tensor | None,
        states: list[Tensor],
        weights: list[Tensor],
        needed: list[bool],
    ) -> list[Tensor]:
        with torch.enable_grad():
            x, *rest = leaves = [
                tensor.detach().requires_grad_(is_needed)
                for tensor, is_needed in zip([x, *states, *weights], needed, strict=True)
            ]
            results = self._run_in_layout(x, lengths, batch_sizes, tuple(rest[: self._states]), rest[self._states :])
        reached = [
            (result, gradient)
            for result, gradient in zip(results, gradients, strict=True)
            if gradient is not None and result.requires_grad
        ]
        found = torch.autograd.grad(
            [result for result, _ in reached],
            [leaf for leaf in leaves if leaf.requires_grad],
            [gradient for _, gradient in reached],
            materialize_grads=True,
        )
        # Autograd may give two inputs the same tensor, as it does the two biases; an operator may not.
        return [gradient.clone(memory_format=torch.contiguous_format) for gradient in found]

    def _apply_backward_fake(
        self,
        gradients: list[Tensor | None],
        x: Tensor,
        lengths: Tensor | None,
        batch_sizes: Tensor | None,
        states: list[Tensor],
        weights: list[Tensor],
        needed: Sequence[bool],
    ) -> list[Tensor]:
        tensors = zip([x, *states, *weights], needed, strict=True)
        return [tensor.new_empty(tensor.shape) for tensor, is_needed in tensors if is_needed]
