"""What takes part at the layer on a GPU, each with its inputs ready, and what each must show before it is timed."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from scripts.benchmarking.cuda.accelerator import Accelerator
from scripts.benchmarking.cuda.dtypes import DTYPES, peer_dtypes
from scripts.benchmarking.cuda.flat_weights import flatten_weights
from scripts.benchmarking.cuda.inputs import in_dtype
from scripts.benchmarking.layer_candidates import Batch
from scripts.benchmarking.torch_candidates import PackedLayer, PaddedLayer, comparable_rows, reference_outputs
from simlstm.rnn import LSTM

OURS, GRAPH = "simlstm", "simlstm CUDA graph"
PACKED, PADDED = "torch packed", "torch padded"  # a dtype follows
# A float64 layer on the CPU takes a second for this many operations on a few cores.
_CPU_OPERATIONS = 10**10


@dataclass(frozen=True)
class Entry:
    """A candidate in one mode.

    Attributes:
        run: What is timed, called with the number of an input.
        shown: What it computes for the first input, by the names of ``Reference``.
    """

    run: Callable[[int], object]
    shown: Callable[[], dict[str, Tensor]]


class RotatingPackedLayer(PackedLayer):
    """``simlstm.rnn.LSTM`` or ``torch.nn.LSTM`` on packed batches; shows the first."""

    def outputs(self) -> dict[str, Tensor]:
        """Show rows and final states."""
        return PackedLayer(self.layer, self.batches[:1]).outputs()

    def gradients(self) -> dict[str, Tensor]:
        """Show the gradients of input and weights."""
        return PackedLayer(self.layer, self.batches[:1]).gradients()


class RotatingPaddedLayer(PaddedLayer):
    """``torch.nn.LSTM`` on padded batches; shows what padding leaves right of the first.

    With one layer that is what ``PaddedLayer`` shows. With more, the second reads what the first's reverse direction
    made of the padding: only the sentences that fill the batch are right, and the gradients of their inputs.
    """

    def outputs(self) -> dict[str, Tensor]:
        """Show rows."""
        shown = PaddedLayer(self.layer, self.batches[:1]).outputs()
        return shown if self.layer.num_layers == 1 else {"0.rows.full": shown["0.rows.full"]}

    def gradients(self) -> dict[str, Tensor]:
        """Show gradients: of the forward direction's weights, or of the inputs that fill the batch."""
        first = PaddedLayer(self.layer, self.batches[:1])
        shown = first.gradients()
        gradient = first.padded[0].grad
        assert gradient is not None  # noqa: S101 - gradients() has just computed it
        rows = pack_padded_sequence(gradient, self.batches[0].lengths)
        filling = {"0.x.full": comparable_rows(0, rows, 0)["0.rows.full"]}
        return {**shown, **filling} if self.layer.num_layers == 1 else filling


class GraphedLayer:
    """Ours captured in a CUDA graph, called with ``(x, lengths)``, the lengths on the device.

    A graph reads and writes the addresses that it was captured with, so there are as many graphs as inputs: a few.

    Args:
        accelerator: Captures.
        layer: ``simlstm.rnn.LSTM``.
        batches: Of one shape.
    """

    def __init__(self, accelerator: Accelerator, layer: LSTM, batches: Sequence[Batch]) -> None:
        self._accelerator = accelerator
        self._batches = batches
        self._results: list[tuple[Tensor, tuple[Tensor, Tensor]]] = []
        self._replays = [self._captured(layer, batch) for batch in batches]

    def infer_batch(self, number: int) -> object:
        """Replay."""
        with torch.inference_mode():
            return self._replays[number % len(self._replays)]()

    def outputs(self) -> dict[str, Tensor]:
        """Show rows and final states of a replay that found its results overwritten."""
        with torch.inference_mode():
            y, (final_h, final_c) = self._results[0]
            for tensor in (y, final_h, final_c):
                tensor.fill_(float("nan"))
            self._replays[0]()
            self._accelerator.wait()
            y, (final_h, final_c) = self._results[0]
            rows = pack_padded_sequence(y, self._batches[0].lengths)
        return {"0.rows": rows.data, "0.hT": final_h, "0.cT": final_c}

    def _captured(self, layer: LSTM, batch: Batch) -> Callable[[], object]:
        place = len(self._results)
        lengths = batch.lengths.to(self._accelerator.device)
        with torch.inference_mode():
            padded = pad_packed_sequence(batch.packed)[0]
            self._results.append(layer((padded, lengths)))

            def call() -> None:
                self._results[place] = layer((padded, lengths))

            return self._accelerator.record(call)


@dataclass(frozen=True)
class Reference:
    """The first batch in float64: outputs and gradients by name, all that any candidate shows."""

    outputs: dict[str, Tensor]
    gradients: dict[str, Tensor]


def reference(stock: nn.LSTM, batch: Batch, *, operations: int) -> Reference:
    """Run torch's layer in float64: on the CPU as long as that takes about a second, else where the batch lies.

    Args:
        stock: ``torch.nn.LSTM`` of any dtype; its rounded weights are taken as they are.
        batch: Its rounded inputs are, too.
        operations: Of a forward pass.
    """
    device = torch.device("cpu") if operations <= _CPU_OPERATIONS else batch.gradient.device
    exact = copy.deepcopy(stock).to(device, torch.float64)
    data = batch.packed.data.detach().to(device, torch.float64).requires_grad_()
    upcast = Batch(
        PackedSequence(data, batch.packed.batch_sizes), batch.lengths, batch.gradient.to(device, torch.float64)
    )
    layer = PackedLayer(exact, [upcast])
    gradients = layer.gradients()
    rows = PackedSequence(gradients["0.x"], batch.packed.batch_sizes)
    gradients["0.x.full"] = comparable_rows(0, rows, 0)["0.rows.full"]
    return Reference(reference_outputs(layer), gradients)


def our_layer(stock: nn.LSTM, dtype: str) -> LSTM:
    """Return this package's layer with the weights of torch's, rounded, where they lie."""
    ours = LSTM(stock.input_size, stock.hidden_size, stock.num_layers, bidirectional=True)
    ours.load_state_dict(stock.state_dict())
    return ours.to(next(stock.parameters()).device, DTYPES[dtype])


def peers(stock: nn.LSTM, batches: list[Batch], dtype: str) -> dict[str, RotatingPackedLayer | RotatingPaddedLayer]:
    """Return torch's layer on packed and on padded input, each in every dtype that might be its fastest."""
    made: dict[str, RotatingPackedLayer | RotatingPaddedLayer] = {}
    for name in peer_dtypes(dtype):
        layer = copy.deepcopy(stock).to(dtype=DTYPES[name])
        flatten_weights(layer)
        converted = in_dtype(batches, DTYPES[name])
        made[f"{PACKED} {name}"] = RotatingPackedLayer(layer, converted)
        made[f"{PADDED} {name}"] = RotatingPaddedLayer(layer, converted)
    return made


def forget_gradients(layer: RotatingPackedLayer | RotatingPaddedLayer) -> None:
    """Let go of every gradient of weights and inputs, so that a call that makes them is seen to take their memory."""
    layer.layer.zero_grad(set_to_none=True)
    padded = layer.padded if isinstance(layer, RotatingPaddedLayer) else []
    for tensor in [*padded, *(batch.packed.data for batch in layer.batches)]:
        tensor.grad = None


def kind_of(name: str) -> str | None:
    """Return "packed" or "padded" for a peer, None for ours."""
    return next((kind.removeprefix("torch ") for kind in (PACKED, PADDED) if name.startswith(kind)), None)


def stock_layer(input_size: int, hidden_size: int, num_layers: int, dtype: str, device: torch.device) -> nn.LSTM:
    """Return torch's layer with random weights, rounded to a dtype: what every candidate starts from."""
    torch.manual_seed(0)
    layer = nn.LSTM(input_size, hidden_size, num_layers, bidirectional=True)
    return layer.to(device, DTYPES[dtype])
