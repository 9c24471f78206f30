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

from simlstm.rnn import ragged
from simlstm.rnn.device_layout import DeviceLayout
from simlstm.rnn.layouts import Layout, PackedLayout, PaddedLayout, States

# Takes packed rows, their walk, states in packed order, each direction's parameters, and further arguments; returns one
# tensor of rows or more, y first, and the final states.
RunLayer = Callable[..., tuple[Tensor, ...]]


class LayerOperator:
    """Defines ``simlstm::<name>`` with its shapes and its backward pass, which is an operator, too.

    The operator takes

    - x: [T, B, I], or packed rows [N, I];
    - lengths: [B] int64, when the sequences of [T, B, I] are not all T long; read on the host, or on the device of x;
    - batch_sizes: [T] int64 on the CPU, when x is packed rows;
    - initial states, [D, B, width] each; those beside packed rows in packed order;
    - weights: the parameters of all D directions, without those that are switched off;
    - what further arguments ``run`` has;

    and returns y, [T, B, D * P] or [N, D * P], and the final states.

    Args:
        name: of the operator.
        run: the layer over packed rows.
        states: how many states there are: 1, or 2 (h and c).
        rows: of how many states ``run`` returns every step, h first.
        further: the schema of further arguments, through which no gradient flows.
        takes_lengths_on_device: whether ``run`` takes a ``DeviceWalk``, and is only given lengths on the device of x.
    """

    def __init__(
        self,
        name: str,
        run: RunLayer,
        states: int,
        *,
        rows: int = 1,
        further: Sequence[str] = (),
        takes_lengths_on_device: bool = False,
    ) -> None:
        self._takes_lengths_on_device = takes_lengths_on_device
        tags = [torch.Tag.pt2_compliant_tag]
        if not takes_lengths_on_device:
            tags.append(torch.Tag.cudagraph_unsafe)  # a CUDA graph cannot hold what reads lengths on the host
        self._run, self._states, self._rows = run, states, rows
        forward, backward = f"simlstm::{name}", f"simlstm::{name}_backward"
        layout = ["Tensor x", "Tensor? lengths", "Tensor? batch_sizes"]
        arguments = [*layout, *["Tensor h0", "Tensor c0"][:states], "Tensor[] weights", *further]
        results = ", ".join(["Tensor"] * (rows + states))
        torch.library.define(forward, f"({', '.join(arguments)}) -> ({results})", tags=tags)
        arguments = ["Tensor?[] gradients", "bool[] needed", *layout, "Tensor[] states", "Tensor[] weights", *further]
        torch.library.define(backward, f"({', '.join(arguments)}) -> Tensor[]", tags=tags)
        torch.library.impl(forward, "CompositeExplicitAutograd", self._apply)
        torch.library.impl(backward, "CompositeExplicitAutograd", self._apply_backward)
        torch.library.register_fake(forward, self._apply_fake)
        torch.library.register_fake(backward, self._apply_backward_fake)
        torch.library.register_autograd(forward, self._backward, setup_context=self._keep_inputs)
        self._backward_operator = getattr(torch.ops.simlstm, f"{name}_backward").default
        self.overload: torch._ops.OpOverload = getattr(torch.ops.simlstm, name).default

    def _run_in_layout(
        self,
        x: Tensor,
        lengths: Tensor | None,
        batch_sizes: Tensor | None,
        states: States,
        weights: list[Tensor],
        further: Sequence[Any],
    ) -> tuple[Tensor, ...]:
        dtype = states[0].dtype
        layout: Layout
        if batch_sizes is not None:
            layout = PackedLayout(PackedSequence(x, batch_sizes))
        elif lengths is not None and self._takes_lengths_on_device and x.numel() > 0:
            layout = DeviceLayout(x, lengths, False, dtype)
        elif lengths is not None:
            layout = ragged.layout_of(x, lengths, False, dtype)
        else:
            layout = PaddedLayout(x, False, dtype)
        if any(state.shape[1] != layout.sequences for state in states):
            got = ", ".join(str(state.shape[1]) for state in states)
            raise RuntimeError(f"states must be those of {layout.sequences} sequences, got {got}")
        size = len(weights) // states[0].shape[0]
        by_direction = [weights[start : start + size] for start in range(0, len(weights), size)]
        results = self._run(layout.rows, layout.walk, layout.arranged(states), by_direction, *further)
        outputs = [layout.output(rows) for rows in results[: self._rows]]
        return (
            *(output.data if isinstance(output, PackedSequence) else output for output in outputs),
            *layout.restored(results[self._rows :], states),
        )

    def _apply(self, x: Tensor, lengths: Tensor | None, batch_sizes: Tensor | None, *rest: Any) -> tuple[Tensor, ...]:
        states, weights, further = rest[: self._states], rest[self._states], rest[self._states + 1 :]
        with torch.no_grad():
            return self._run_in_layout(x, lengths, batch_sizes, states, weights, further)

    def _apply_fake(
        self, x: Tensor, lengths: Tensor | None, batch_sizes: Tensor | None, *rest: Any
    ) -> tuple[Tensor, ...]:
        states: Sequence[Tensor] = rest[: self._states]
        # Padded results are all of one dtype, those beside packed rows each of its initial state's.
        dtypes = [states[0].dtype if batch_sizes is None else state.dtype for state in states]
        rows = [
            state.new_empty(*x.shape[:-1], state.shape[0] * state.shape[2], dtype=dtype)
            for state, dtype in zip(states, dtypes, strict=True)
        ]
        final = [state.new_empty(state.shape, dtype=dtype) for state, dtype in zip(states, dtypes, strict=True)]
        return *rows[: self._rows], *final

    def _keep_inputs(self, ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        count = 3 + self._states
        tensors, weights, further = inputs[:count], inputs[count], inputs[count + 1 :]
        of_tensors = [value if isinstance(value, Tensor) else None for value in further]
        ctx.save_for_backward(*tensors, *weights, *of_tensors)
        ctx.further = [None if isinstance(value, Tensor) else value for value in further]
        ctx.set_materialize_grads(False)

    def _backward(self, ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        needs_x, _, _, *needs = ctx.needs_input_grad
        needs_states, needs_weights = needs[: self._states], needs[self._states]
        x, lengths, batch_sizes, *rest = ctx.saved_tensors
        states, rest = rest[: self._states], rest[self._states :]
        weights, of_tensors = rest[: len(needs_weights)], rest[len(needs_weights) :]
        further = [value if tensor is None else tensor for value, tensor in zip(ctx.further, of_tensors, strict=True)]
        needed = [needs_x, *needs_states, *needs_weights]
        found = iter(
            self._backward_operator(list(gradients), needed, x, lengths, batch_sizes, states, weights, *further)
        )
        dx, *others = [next(found) if is_needed else None for is_needed in needed]
        return dx, None, None, *others[: self._states], others[self._states :], *[None] * len(further)

    def _apply_backward(
        self,
        gradients: list[Tensor | None],
        needed: list[bool],
        x: Tensor,
        lengths: Tensor | None,
        batch_sizes: Tensor | None,
        states: list[Tensor],
        weights: list[Tensor],
        *further: Any,
    ) -> list[Tensor]:
        # A graph may run us with autograd shut out of the dispatch; then grad mode alone would record nothing.
        key, listen = torch._C.DispatchKey, torch._C._SetExcludeDispatchKeyGuard
        with torch.enable_grad(), listen(key.AutogradFunctionality, False), listen(key.ADInplaceOrView, False):
            x, *rest = leaves = [
                tensor.detach().requires_grad_(is_needed)
                for tensor, is_needed in zip([x, *states, *weights], needed, strict=True)
            ]
            initial, weights = tuple(rest[: self._states]), rest[self._states :]
            results = self._run_in_layout(x, lengths, batch_sizes, initial, weights, further)
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
        needed: list[bool],
        x: Tensor,
        lengths: Tensor | None,
        batch_sizes: Tensor | None,
        states: list[Tensor],
        weights: list[Tensor],
        *further: Any,
    ) -> list[Tensor]:
        tensors = zip([x, *states, *weights], needed, strict=True)
        return [tensor.new_empty(tensor.shape) for tensor, is_needed in tensors if is_needed]
