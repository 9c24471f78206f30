"""The recurrent layer against ``torch.nn.LSTM`` on the same packed batch, forward and forward with backward."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from scripts.benchmarking.interleave import interleave, median_ratio
from simlstm.rnn import LSTM

INPUT_SIZE = 300
# Worst accepted difference over the largest value, float32: summation order differs, nothing else may.
PARITY = 1e-4


def gamma_lengths(count: int, mean: float, generator: torch.Generator) -> Tensor:
    """Draw sentence lengths from a gamma distribution of shape 3, the spread of short questions and captions.

    Returns:
        [count] int64, each at least 1, longest first.
    """
    draws = -torch.rand(3, count, generator=generator).log().sum(0) * (mean / 3)
    return draws.round().clamp(min=1).long().sort(descending=True).values


def packed_batch(batch: int, mean: float, generator: torch.Generator) -> PackedSequence:
    """Make a packed batch of normal vectors [N, INPUT_SIZE] float32."""
    lengths = gamma_lengths(batch, mean, generator)
    padded = torch.randn(int(lengths[0]), batch, INPUT_SIZE, generator=generator)
    return pack_padded_sequence(padded, lengths)


def forward_backward(layer: nn.Module, packed: PackedSequence, output_gradient: Tensor) -> list[Tensor]:
    """Run one training step's share of the layer; return the output and every weight gradient."""
    layer.zero_grad(set_to_none=True)
    output = layer(packed)[0].data
    output.backward(output_gradient)
    return [output.detach(), *(parameter.grad for parameter in layer.parameters() if parameter.grad is not None)]


def check_parity(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """Return the largest relative difference, or refuse to go on: a fast wrong layer is worth nothing.

    Raises:
        RuntimeError: when the difference is above ``PARITY``.
    """
    worst = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(ours, theirs, strict=True))
    if not worst <= PARITY:
        raise RuntimeError(f"parity failed: relative difference {worst:.1e}, allowed {PARITY:.0e}; no speed reported")
    return worst


def measure(
    hidden_sizes: Sequence[int], batches: Sequence[int], *, mean_length: float, turns: int
) -> list[dict[str, object]]:
    """Measure each (H, B): bidirectional, one layer, float32, I=300.

    Returns:
        One row a shape and mode: medians, quartiles and the ratio (stock over ours, above 1 is faster than stock).
    """
    rows: list[dict[str, object]] = []
    for hidden_size in hidden_sizes:
        torch.manual_seed(0)
        stock = nn.LSTM(INPUT_SIZE, hidden_size, bidirectional=True)
        ours = LSTM(INPUT_SIZE, hidden_size, bidirectional=True)
        ours.load_state_dict(stock.state_dict())
        for batch in batches:
            packed = packed_batch(batch, mean_length, torch.Generator().manual_seed(batch))
            gradient = torch.randn(packed.data.shape[0], 2 * hidden_size)
            worst = check_parity(forward_backward(ours, packed, gradient), forward_backward(stock, packed, gradient))
            for mode, call in _modes(packed, gradient).items():
                candidates = {"simlstm": partial(call, ours), "torch.nn.LSTM": partial(call, stock)}
                mine, theirs = interleave(candidates, turns=turns)
                rows.append(
                    {
                        "hidden_size": hidden_size,
                        "batch": batch,
                        "packed_rows": packed.data.shape[0],
                        "mode": mode,
                        "simlstm": mine.as_json(),
                        "torch.nn.LSTM": theirs.as_json(),
                        "ratio": median_ratio(theirs, mine),
                        "parity": worst,
                    }
                )
    return rows


def _modes(packed: PackedSequence, gradient: Tensor) -> dict[str, Callable[[nn.Module], object]]:
    def forward(layer: nn.Module) -> object:
        with torch.inference_mode():
            return layer(packed)

    return {"forward": forward, "forward+backward": lambda layer: forward_backward(layer, packed, gradient)}
