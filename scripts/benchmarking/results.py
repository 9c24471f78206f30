"""What a results file holds: written by ``scripts/benchmark.py``, read again for tables and plots."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from scripts.benchmarking.cuda.records import CudaEncodeReport, CudaLayerReport, CudaTrainReport
from scripts.benchmarking.kernel_records import KernelReport
from scripts.benchmarking.records import Count, Difference, Machine, Positive, Record, Timing
from scripts.benchmarking.serving.records import ServeReport, SoakReport


class Figure(Record):
    """One candidate at one shape.

    Attributes:
        timing: Seconds of a turn.
        gflops: 10^9 useful operations a second, at the median.
        share_of_peak: Of the highest rate of a large matrix product in the dtype the candidate multiplies in.
        ratio: Its seconds over ours, median of the paired turns (above 1: ours is faster); 1 for our own.
        parity: What was compared before timing: the largest relative difference, or the lowest cosine.
    """

    timing: Timing
    gflops: Positive
    share_of_peak: Positive
    ratio: Positive
    parity: Difference | None = None


class LayerRow(Record):
    """The recurrent layer and its peers at one shape.

    Attributes:
        sentences: In one turn; with batch 1, they run one after the other.
        packed_rows: N, tokens in one turn.
        peaks: GFLOP/s of a large matrix product at this moment, by ``dtype (library)``.
        figures: By candidate; ``simlstm`` is ours, ``simlstm prepacked`` the same with weights promised to stay.
        best_peer: The stock candidate with the lowest median.
        ratio: The best peer's seconds over ours.
        prepacked_ratio: The best peer's seconds over those of our prepacked layer; in inference.
    """

    hidden_size: Count
    batch: Count
    sentences: Count
    packed_rows: Count
    mode: Literal["inference", "forward+backward"]
    peaks: dict[str, Positive]
    figures: dict[str, Figure]
    best_peer: str
    ratio: Positive
    prepacked_ratio: Positive | None = None


class LayerReport(Record):
    """``simlstm benchmark rnn``."""

    subject: Literal["rnn"] = "rnn"
    machine: Machine
    input_size: Count
    mean_length: Positive
    skipped: dict[str, str] = Field(default_factory=dict)
    rows: list[LayerRow]


class EncodeRow(Record):
    """The frozen encoder and the stock modules at one shape; ratios are stock seconds over the candidate's.

    Attributes:
        parity_kind: By candidate, what its ``parity`` is.
    """

    hidden_size: Count
    batch: Count
    sentences: Count
    packed_rows: Count
    peaks: dict[str, Positive]
    figures: dict[str, Figure]
    parity_kind: dict[str, Literal["relative difference", "lowest cosine"]]


class LinearRow(Record):
    """One number of sentences.

    Attributes:
        tokens: In all of them.
        resident_before_mib: Resident memory when the sentences were there and the call had not begun.
        resident_peak_mib: Highest resident memory during the call; None where the system does not say.
        result_mib: Size of the vectors, which must be held in any case.
    """

    precision: str
    sentences: Count
    tokens: Count
    timing: Timing
    resident_before_mib: Positive | None
    resident_peak_mib: Positive | None
    result_mib: Positive

    @property
    def working_mib(self) -> float | None:
        """What the call needs beyond its result, in MiB; None where the system does not say."""
        if self.resident_before_mib is None or self.resident_peak_mib is None:
            return None
        return self.resident_peak_mib - self.resident_before_mib - self.result_mib


class TextRow(Record):
    """Text to vectors, seconds of one sentence; the ratio is MiniLM's seconds over ours, paired turns."""

    precision: str
    timing: Timing
    sentences_per_second: Positive
    ratio: Positive | None


class MiniLmFigure(Record):
    """The MiniLM peer, seconds of one sentence.

    Attributes:
        sentences: How many of those that ours encoded: whole batches, evenly spread over the lengths.
    """

    timing: Timing
    sentences: Count
    batch_size: Count
    sentences_per_second: Positive


class TextReport(Record):
    """Text to vectors against a MiniLM sentence encoder."""

    source: str
    model: str
    sentences: Count
    mean_tokens: Positive
    rows: list[TextRow]
    minilm: MiniLmFigure | None
    skipped: str | None = None


class EncodeReport(Record):
    """``simlstm benchmark encode``."""

    subject: Literal["encode"] = "encode"
    machine: Machine
    backend: str
    input_size: Count
    vocabulary_size: Count
    mean_length: Positive
    rows: list[EncodeRow]
    linearity_hidden_size: Count
    linearity: list[LinearRow]
    texts: TextReport | None


class TrainFigure(Record):
    """One candidate over all measured steps.

    Attributes:
        timing: Seconds of a step.
        seconds: Of all steps together.
        parts: Median seconds of a step that each part takes: collate, forward (with the loss), backward, update
            (clipping, optimizer, average of the weights).
    """

    timing: Timing
    seconds: Positive
    sentences_per_second: Positive
    parts: dict[str, Positive]


class TrainReport(Record):
    """``simlstm benchmark train``: ratios are stock seconds over ours.

    Attributes:
        step_ratio: Median over the paired steps.
        total_ratio: Of all steps together, which weighs long batches more.
    """

    subject: Literal["train"] = "train"
    machine: Machine
    config: str
    precision: str
    steps: Count
    sentences: Count
    step_ratio: Positive
    total_ratio: Positive
    figures: dict[str, TrainFigure]


Report = (
    LayerReport
    | EncodeReport
    | TrainReport
    | CudaLayerReport
    | CudaEncodeReport
    | CudaTrainReport
    | KernelReport
    | ServeReport
    | SoakReport
)
_REPORT: TypeAdapter[Report] = TypeAdapter(Annotated[Report, Field(discriminator="subject")])


def write_report(report: Report, file: Path) -> None:
    """Write a results file whole or not at all, in a folder that is made when it does not exist."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.unfinished")
    unfinished.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    unfinished.replace(file)


def read_report(file: Path) -> Report:
    """Read a results file of any subject.

    Raises:
        ValueError: when it is none, or one of another version: says which field is wrong.
        OSError: when it cannot be read.
    """
    return _REPORT.validate_json(file.read_bytes())
