"""Layers of torch's face as candidates: ours and torch's on packed batches, torch's on padded ones."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from scripts.benchmarking.layer_candidates import Batch


class PackedLayer:
    """``simlstm.rnn.LSTM`` or ``torch.nn.LSTM`` on packed batches."""

    def __init__(self, layer: nn.Module, batches: Sequence[Batch]) -> None:
        self.layer = layer
        self.batches = batches

    def infer(self) -> object:
        """Run every batch forward."""
        with torch.inference_mode():
            return [self.layer(batch.packed) for batch in self.batches]

    def infer_batch(self, number: int) -> object:
        """Run one batch forward; numbers beyond the last begin anew."""
        with torch.inference_mode():
            return self.layer(self.batches[number % len(self.batches)].packed)

    def step(self) -> object:
        """Run every batch forward and backward; inputs and weights get gradients."""
        for batch in self.batches:
            self._step(batch)
        return None

    def step_batch(self, number: int) -> object:
        """Run one batch forward and backward; numbers beyond the last begin anew."""
        self._step(self.batches[number % len(self.batches)])
        return None

    def outputs(self) -> dict[str, Tensor]:
        """Show rows and final states."""
        shown: dict[str, Tensor] = {}
        for number, batch in enumerate(self.batches):
            with torch.no_grad():
                output, (final_h, final_c) = self.layer(batch.packed)
            shown |= {f"{number}.rows": output.data, f"{number}.hT": final_h, f"{number}.cT": final_c}
        return shown

    def gradients(self) -> dict[str, Tensor]:
        """Show the gradients of inputs and weights."""
        shown: dict[str, Tensor] = {}
        for number, batch in enumerate(self.batches):
            self._step(batch)
            shown |= {f"{number}.{name}": gradient.clone() for name, gradient in _gradients(self.layer)}
            shown[f"{number}.x"] = _gradient(batch.packed.data)
        return shown

    def _step(self, batch: Batch) -> None:
        self.layer.zero_grad(set_to_none=True)
        batch.packed.data.grad = None
        self.layer(batch.packed)[0].data.backward(batch.gradient)


class PaddedLayer:
    """``torch.nn.LSTM`` on batches padded with zeros to the longest sentence, [T, B, I].

    It computes the padding, and its reverse direction reads the padding of a shorter sentence first: those results
    are not the sentence's. So it is a peer in speed alone, and what it shows is the forward direction at the tokens
    that are there and, of both directions, the sentences that fill the batch.
    """

    def __init__(self, layer: nn.LSTM, batches: Sequence[Batch]) -> None:
        self.layer = layer
        self.batches = batches
        self.padded = [pad_packed_sequence(batch.packed)[0].detach().requires_grad_() for batch in batches]
        self.padded_gradients = [
            pad_packed_sequence(PackedSequence(batch.gradient, batch.packed.batch_sizes))[0] for batch in batches
        ]

    def infer(self) -> object:
        """Run every batch forward."""
        with torch.inference_mode():
            return [self.layer(padded) for padded in self.padded]

    def infer_batch(self, number: int) -> object:
        """Run one batch forward; numbers beyond the last begin anew."""
        with torch.inference_mode():
            return self.layer(self.padded[number % len(self.padded)])

    def step(self) -> object:
        """Run every batch forward and backward; the gradient of the padding's output is zero."""
        for number in range(len(self.batches)):
            self._step(number)
        return None

    def step_batch(self, number: int) -> object:
        """Run one batch forward and backward; numbers beyond the last begin anew."""
        self._step(number % len(self.padded))
        return None

    def outputs(self) -> dict[str, Tensor]:
        """Show the forward half of the rows, and the whole rows of the sentences that fill the batch."""
        shown: dict[str, Tensor] = {}
        for number, (batch, padded) in enumerate(zip(self.batches, self.padded, strict=True)):
            with torch.no_grad():
                output = self.layer(padded)[0]
            shown |= comparable_rows(number, pack_padded_sequence(output, batch.lengths), self.layer.hidden_size)
        return shown

    def gradients(self) -> dict[str, Tensor]:
        """Show the gradients of the forward direction's weights."""
        shown: dict[str, Tensor] = {}
        for number in range(len(self.batches)):
            self._step(number)
            named = _gradients(self.layer)
            shown |= {f"{number}.{name}": value.clone() for name, value in named if not name.endswith("_reverse")}
        return shown

    def _step(self, number: int) -> None:
        self.layer.zero_grad(set_to_none=True)
        self.padded[number].grad = None
        self.layer(self.padded[number])[0].backward(self.padded_gradients[number])


def reference_outputs(stock: PackedLayer) -> dict[str, Tensor]:
    """Return all that any candidate's outputs are compared with."""
    shown = stock.outputs()
    for number, batch in enumerate(stock.batches):
        rows = PackedSequence(shown[f"{number}.rows"], batch.packed.batch_sizes)
        shown |= comparable_rows(number, rows, shown[f"{number}.rows"].shape[1] // 2)
    return shown


def comparable_rows(number: int, output: PackedSequence, hidden_size: int) -> dict[str, Tensor]:
    """Cut what a padded run can be compared in out of packed rows: see ``PaddedLayer``."""
    filling = int(output.batch_sizes[-1])
    full = torch.cat([step[:filling] for step in output.data.split_with_sizes(output.batch_sizes.tolist())])
    return {f"{number}.rows.forward": output.data[:, :hidden_size], f"{number}.rows.full": full}


def _gradients(layer: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in layer.named_parameters():
        yield name, _gradient(parameter)


def _gradient(tensor: Tensor) -> Tensor:
    if tensor.grad is None:
        raise RuntimeError("a parameter or the input got no gradient; no speed reported")
    return tensor.grad
