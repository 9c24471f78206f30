"""What one recurrence with a single state must say for the layer around it to run and to be differentiated."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from simlstm.rnn.walk import PackedWalk
from simlstm.rnn.weights import DirectionWeights


class Recurrence(Protocol):
    """One step's arithmetic, twice: as autograd can follow it, and as loops over whole buffers with their gradients.

    A *gate buffer* is [D, N, W], W a multiple of H: for each direction and packed row, in the order in which the
    direction reads them, everything that the two products ``w_ih x`` and ``w_hh h`` of a step flow into.
    """

    def step(self, from_input: Tensor, h: Tensor, weights: DirectionWeights) -> Tensor:
        """Take one step, differentiably to any order.

        Args:
            from_input: [B, GH], ``w_ih x + b_ih``.
            h: [B, H], the state before the step.
            weights: of this direction.

        Returns:
            Tensor: [B, H], the state after the step.
        """

    def gate_buffer(self, walk: PackedWalk, h_states: Tensor) -> Tensor:
        """Return a gate buffer to be filled, [D, N, W] in the dtype of the state buffer [D, B + N, H]; maybe a view."""

    def bias(self, b_ih: Tensor, b_hh: Tensor) -> Tensor:
        """Return what both biases [GH] together add to a row of the gate buffer, [W]."""

    def walk_forward(self, walk: PackedWalk, gates: Tensor, h_states: Tensor, w_hh: Sequence[Tensor]) -> None:
        """Step forward through a packed batch, filling the state buffer.

        Args:
            walk: the layout.
            gates: [D, N, W], holds ``w_ih x`` and the biases; left with all that the backward pass needs beside h.
            h_states: [D, B + N, H], of which the first B rows are given; never below float32.
            w_hh: for each direction [GH, H].
        """

    def walk_backward(
        self, walk: PackedWalk, gates: Tensor, h_states: Tensor, dh_states: Tensor, w_hh: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Step backward through a packed batch.

        Args:
            walk: the layout.
            gates: [D, N, W], as the forward pass left it; not written.
            h_states: [D, B + N, H], as the forward pass left it; not written.
            dh_states: [D, B + N, H], what reaches each h from outside the recurrence, nothing in the first B rows,
                which become the gradient of h0. The other rows may be written to.
            w_hh: for each direction [GH, H].

        Returns:
            tuple[Tensor, Tensor]: the gradient of the gate buffer, [D, N, W]; and the same in the dtype of the
            weights, which is the same tensor when the dtype is.
        """

    def input_columns(self, gates: Tensor) -> tuple[Tensor, ...]:
        """Return the columns [*, W] into which ``w_ih x`` flows, as views in the order of the rows of w_ih."""

    def hidden_columns(self, gates: Tensor) -> Tensor:
        """Return the columns [*, W] into which ``w_hh h`` flows, as one view in the order of the rows of w_hh."""
