"""The recurrent layer against its stock peers, on the same batches and weights, in one interleaved run."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from scripts.benchmarking.arithmetic import layer_operations
from scripts.benchmarking.batches import packed_vectors, turn_lengths
from scripts.benchmarking.interleave import Measurement, interleave, median_ratio
from scripts.benchmarking.layer_candidates import Batch, Candidate, Trainable, check_candidates, check_gradients
from scripts.benchmarking.machine import describe_machine
from scripts.benchmarking.onnx_candidate import OnnxLayer
from scripts.benchmarking.optional import MissingPackageError
from scripts.benchmarking.peak import highest, measure_peaks, peak_of
from scripts.benchmarking.results import Figure, LayerReport, LayerRow
from scripts.benchmarking.torch_candidates import PackedLayer, PaddedLayer, reference_outputs
from simlstm.rnn import LSTM, prepacked

INPUT_SIZE = 300
OURS, PREPACKED = "simlstm", "simlstm prepacked"
PACKED, PADDED, ONNX = "torch packed", "torch padded", "ONNX Runtime"


def measure(
    hidden_sizes: Sequence[int], batches: Sequence[int], *, mean_length: float, turns: int, peak_size: int = 2048
) -> LayerReport:
    """Measure each (H, B): bidirectional, one layer, float32, I=300; inference, and forward with backward.

    Args:
        hidden_sizes: Each H.
        batches: Each B; 1 means single sentences one after the other.
        mean_length: Of the gamma-distributed lengths.
        turns: Measured turns of each candidate.
        peak_size: Rows and columns of the matrix product that is the ceiling.

    Raises:
        RuntimeError: when a candidate computes something else.
    """
    machine = describe_machine()  # first: its load average is that of the machine before we came
    rows: list[LayerRow] = []
    skipped: dict[str, str] = {}
    for hidden_size in hidden_sizes:
        torch.manual_seed(0)
        stock = nn.LSTM(INPUT_SIZE, hidden_size, bidirectional=True)
        ours = LSTM(INPUT_SIZE, hidden_size, bidirectional=True)
        ours.load_state_dict(stock.state_dict())
        for batch in batches:
            made = make_batches(batch, hidden_size, mean_length)
            trainable = {OURS: PackedLayer(ours, made), PACKED: PackedLayer(stock, made)}
            kept = copy.deepcopy(ours)  # the same layer, whose weights are promised to stay
            padded = {PADDED: PaddedLayer(stock, made)}
            optional: dict[str, Candidate] = {}
            try:
                optional[ONNX] = OnnxLayer(stock, made)
            except MissingPackageError as reason:
                skipped[ONNX] = str(reason)
            inferring: dict[str, Candidate] = {**trainable, PREPACKED: PackedLayer(kept, made), **padded, **optional}
            training: dict[str, Trainable] = {**trainable, **padded}
            with prepacked(kept):
                parity = check_candidates(inferring, reference_outputs(trainable[PACKED]))
            gradient_parity = check_gradients(training, trainable[PACKED].gradients())
            for backward in (False, True):
                before = measure_peaks(size=peak_size)
                calls = (
                    {name: candidate.step for name, candidate in training.items()}
                    if backward
                    else {name: candidate.infer for name, candidate in inferring.items()}
                )
                with prepacked(kept):
                    measured = interleave(calls, turns=turns)
                peaks = highest(before, measure_peaks(size=peak_size))
                compared = gradient_parity if backward else parity
                rows.append(layer_row(hidden_size, batch, made, measured, peaks, compared, backward=backward))
    return LayerReport(machine=machine, input_size=INPUT_SIZE, mean_length=mean_length, skipped=skipped, rows=rows)


def make_batches(batch: int, hidden_size: int, mean_length: float) -> list[Batch]:
    """Make the batches of one turn, with inputs that ask for gradients as an embedding's output would."""
    generator = torch.Generator().manual_seed(batch)
    made = []
    for lengths in turn_lengths(batch, mean_length):
        packed = packed_vectors(lengths, INPUT_SIZE, generator)
        packed.data.requires_grad_()
        gradient = torch.randn(len(packed.data), 2 * hidden_size, generator=generator)
        made.append(Batch(packed, lengths, gradient))
    return made


def layer_row(
    hidden_size: int,
    batch: int,
    batches: Sequence[Batch],
    measured: Mapping[str, Measurement],
    peaks: dict[str, float],
    parity: Mapping[str, float],
    *,
    backward: bool,
) -> LayerRow:
    """Turn seconds into rates and ratios; the best peer is the one with the lowest median."""
    tokens = sum(len(made.packed.data) for made in batches)
    operations = layer_operations(tokens, input_size=INPUT_SIZE, hidden_size=hidden_size, backward=backward)
    peak = peak_of(peaks, "float32")
    figures = {}
    for name, measurement in measured.items():
        rate = 1e-9 * operations / measurement.median
        figures[name] = Figure(
            timing=measurement.timing(),
            gflops=rate,
            share_of_peak=rate / peak,
            ratio=median_ratio(measurement, measured[OURS]),
            parity=parity[name],
        )
    peers = [name for name in measured if name not in (OURS, PREPACKED)]
    best = min(peers, key=lambda name: measured[name].median)
    kept = measured.get(PREPACKED)
    return LayerRow(
        hidden_size=hidden_size,
        batch=batch,
        sentences=sum(len(made.lengths) for made in batches),
        packed_rows=tokens,
        mode="forward+backward" if backward else "inference",
        peaks=peaks,
        figures=figures,
        best_peer=best,
        ratio=figures[best].ratio,
        prepacked_ratio=None if kept is None else median_ratio(measured[best], kept),
    )
