"""Sentences to vectors: the frozen encoder at each shape, as sentences grow in number, and from text."""

from collections.abc import Collection, Sequence
from enum import StrEnum
from pathlib import Path

from scripts.benchmarking.encode_shapes import INPUT_SIZE, VOCABULARY_SIZE, measure_shapes
from scripts.benchmarking.linearity import measure_linearity
from scripts.benchmarking.machine import describe_machine
from scripts.benchmarking.results import EncodeReport
from scripts.benchmarking.sentences import read_sentences
from scripts.benchmarking.texts import measure_texts
from simlstm.rnn.frozen import PRECISIONS, frozen_backend

LINEARITY_HIDDEN_SIZE = 256


class Part(StrEnum):
    """What ``encode`` measures."""

    shapes = "shapes"
    linearity = "linearity"
    texts = "texts"


def measure(
    hidden_sizes: Sequence[int],
    batches: Sequence[int],
    *,
    parts: Collection[Part],
    mean_length: float,
    turns: int,
    counts: Sequence[int],
    texts: int,
    sentences: Path | None,
    model: str | Path | None,
    minilm: Path,
    minilm_sentences: int,
    peak_size: int = 2048,
) -> EncodeReport:
    """Measure the parts asked for; the others are empty in the report.

    Args:
        hidden_sizes: shapes: each H.
        batches: shapes: each B.
        parts: What to measure.
        mean_length: shapes, linearity: of the gamma-distributed lengths.
        turns: shapes, texts: measured turns; texts, whose turns are long, takes a quarter of them.
        counts: linearity: each number of sentences.
        texts: texts: how many distinct sentences.
        sentences: texts: file with one sentence a line; None for the embedded demo corpus.
        model: texts: checkpoint folder, or the name of a shipped one; None for random weights.
        minilm: texts: folder of the peer.
        minilm_sentences: texts: how many the peer encodes in a turn.
        peak_size: shapes: rows and columns of the matrix product that is the ceiling.

    Raises:
        RuntimeError: when something computes other vectors than it should.
        ValueError: when there are too few sentences.
        OSError: when a file cannot be read.
    """
    machine = describe_machine()
    chosen = read_sentences(sentences, texts) if Part.texts in parts else None  # what can be refused, first
    return EncodeReport(
        machine=machine,
        backend=frozen_backend(),
        input_size=INPUT_SIZE,
        vocabulary_size=VOCABULARY_SIZE,
        mean_length=mean_length,
        rows=measure_shapes(hidden_sizes, batches, mean_length=mean_length, turns=turns, peak_size=peak_size)
        if Part.shapes in parts
        else [],
        linearity_hidden_size=LINEARITY_HIDDEN_SIZE,
        linearity=measure_linearity(counts, PRECISIONS, hidden_size=LINEARITY_HIDDEN_SIZE, mean_length=mean_length)
        if Part.linearity in parts
        else [],
        texts=None
        if chosen is None
        else measure_texts(
            *chosen, model=model, minilm=minilm, minilm_sentences=minilm_sentences, turns=max(2, turns // 4)
        ),
    )
