"""The frozen encoder against the stock modules it replaces: from packed token ids to sentence vectors."""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from scripts.benchmarking.arithmetic import layer_operations, recurrent_operations
from scripts.benchmarking.batches import turn_lengths, zipf_sentences
from scripts.benchmarking.interleave import interleave, median_ratio
from scripts.benchmarking.parity import OUTPUTS, check_close, check_cosine
from scripts.benchmarking.peak import highest, measure_peaks, peak_of
from scripts.benchmarking.results import EncodeRow, Figure
from simlstm.data.batching import pack
from simlstm.models.encoder import SentenceEncoder
from simlstm.models.frozen import FrozenEncoder
from simlstm.rnn.frozen import PRECISIONS, Precision

INPUT_SIZE, VOCABULARY_SIZE = 300, 20_000
STOCK = "torch"
# Lowest accepted cosine of a sentence's vector with the float32 one. bf16 keeps 8 bits of a number, int8 as many of the
# largest weight in its row, and the errors of a sum of many products partly cancel: 1 - cosine is seen to be 1e-6 and
# 3e-6. Without the recurrent weights it is 1e-2 and more.
COSINES: dict[Precision, float] = {"bfloat16": 0.99999, "int8": 0.9999}
# What the recurrent product multiplies in. There is no float peak of int8; its share is that of the bf16 peak.
MULTIPLIES_IN: dict[Precision, str] = {"float32": "float32", "bfloat16": "bfloat16", "int8": "bfloat16"}


def build_encoder(hidden_size: int) -> SentenceEncoder:
    """Build a bidirectional encoder with maximum pooling and random weights."""
    torch.manual_seed(0)
    return SentenceEncoder(
        vocabulary_size=VOCABULARY_SIZE, embedding_size=INPUT_SIZE, hidden_size=hidden_size, pooling="max"
    ).eval()


def stock_encoder(encoder: SentenceEncoder) -> SentenceEncoder:
    """Return ``nn.Embedding`` + ``torch.nn.LSTM`` + maximum pooling with the same weights.

    The pooling is ours, on packed rows: as fast as unpacking and ``max`` for one sentence, and faster for many.
    """
    stock = copy.deepcopy(encoder)
    ours = encoder.recurrent
    assert isinstance(ours, nn.RNNBase)  # noqa: S101 - simlstm.rnn.LSTM is one
    layer = nn.LSTM(ours.input_size, ours.hidden_size, bidirectional=True)
    layer.load_state_dict(ours.state_dict())
    stock.recurrent = layer
    return stock


def packed_sentences(batch: int, mean_length: float) -> list[PackedSequence]:
    """Make the packed token ids of one turn."""
    generator = torch.Generator().manual_seed(batch)
    return [
        pack(zipf_sentences(lengths.tolist(), VOCABULARY_SIZE, generator))
        for lengths in turn_lengths(batch, mean_length)
    ]


def check_vectors(precision: Precision, vectors: Tensor, right: Tensor) -> float:
    """Return how far the vectors [n, D] of a precision are from the right ones, or refuse to go on.

    Returns:
        The largest relative difference for float32, the lowest cosine for the others.

    Raises:
        RuntimeError: when that is beyond what the precision explains.
    """
    name = f"frozen {precision}"
    if precision == "float32":
        return check_close(name, {"vectors": vectors}, {"vectors": right}, allowed=OUTPUTS)
    return check_cosine(name, vectors, right, allowed=COSINES[precision])


def measure_shapes(
    hidden_sizes: Sequence[int], batches: Sequence[int], *, mean_length: float, turns: int, peak_size: int = 2048
) -> list[EncodeRow]:
    """Measure each (H, B): bidirectional, one layer, I=300, maximum pooling, token ids drawn as text has them.

    Args:
        hidden_sizes: Each H.
        batches: Each B; 1 means single sentences one after the other.
        mean_length: Of the gamma-distributed lengths.
        turns: Measured turns of each candidate.
        peak_size: Rows and columns of the matrix product that is the ceiling.

    Raises:
        RuntimeError: when the frozen encoder computes something else.
    """
    rows = []
    for hidden_size in hidden_sizes:
        encoder = build_encoder(hidden_size)
        stock = stock_encoder(encoder)
        frozen = {name: FrozenEncoder.from_encoder(encoder, precision=name) for name in PRECISIONS}
        for batch in batches:
            tokens = packed_sentences(batch, mean_length)
            right = _run(stock, tokens)
            parity = {name: check_vectors(name, _run(candidate, tokens), right) for name, candidate in frozen.items()}
            calls = {STOCK: partial(_run, stock, tokens)} | {
                name: partial(_run, candidate, tokens) for name, candidate in frozen.items()
            }
            rows.append(_measure_shape(hidden_size, batch, tokens, calls, parity, turns=turns, peak_size=peak_size))
    return rows


def _run(encoder: Callable[[PackedSequence], Tensor], tokens: Sequence[PackedSequence]) -> Tensor:
    with torch.inference_mode():
        return torch.cat([encoder(sentences) for sentences in tokens])


def _measure_shape(
    hidden_size: int,
    batch: int,
    tokens: Sequence[PackedSequence],
    calls: Mapping[str, Callable[[], object]],
    parity: Mapping[Precision, float],
    *,
    turns: int,
    peak_size: int,
) -> EncodeRow:
    before = measure_peaks(size=peak_size)
    measured = interleave(calls, turns=turns)
    peaks = highest(before, measure_peaks(size=peak_size))
    count = sum(len(sentences.data) for sentences in tokens)
    sentence_count = sum(int(sentences.batch_sizes[0]) for sentences in tokens)
    # A sentence starts from zeros, and the frozen recurrence multiplies nothing at its first token.
    recurrent = recurrent_operations(count - sentence_count, hidden_size=hidden_size)
    stock_rate = 1e-9 * layer_operations(count, input_size=INPUT_SIZE, hidden_size=hidden_size) / measured[STOCK].median
    figures = {
        STOCK: Figure(
            timing=measured[STOCK].timing(),
            gflops=stock_rate,
            share_of_peak=stock_rate / peak_of(peaks, "float32"),
            ratio=1.0,
        )
    }
    for name in PRECISIONS:
        rate = 1e-9 * recurrent / measured[name].median
        figures[name] = Figure(
            timing=measured[name].timing(),
            gflops=rate,
            share_of_peak=rate / peak_of(peaks, MULTIPLIES_IN[name]),
            ratio=median_ratio(measured[STOCK], measured[name]),
            parity=parity[name],
        )
    return EncodeRow(
        hidden_size=hidden_size,
        batch=batch,
        sentences=sentence_count,
        packed_rows=count,
        peaks=peaks,
        figures=figures,
        parity_kind={name: "relative difference" if name == "float32" else "lowest cosine" for name in PRECISIONS},
    )
