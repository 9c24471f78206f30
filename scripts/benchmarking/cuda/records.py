"""What the results files of CUDA runs hold."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from scripts.benchmarking.records import Count, Difference, Machine, Positive, Record, Timing

Mode = Literal["inference", "forward+backward"]


class Gpu(Record):
    """The GPU and what drives it.

    Attributes:
        driver: Version of its driver; None where ``nvidia-smi`` does not say.
        cuda: Version that torch was built for.
        cudnn: Version that torch has loaded.
        triton: None where it is not installed.
        compute_capability: As "9.0".
        multiprocessors: How many.
        memory_gib: Of the device.
        cache_mib: Of the second level.
    """

    name: str
    driver: str | None
    cuda: str | None
    cudnn: str | None
    triton: str | None
    compute_capability: str
    multiprocessors: int
    memory_gib: float
    cache_mib: float


class CudaMachine(Machine):
    """Where a measurement on a GPU was made."""

    gpu: Gpu


class Ceilings(Record):
    """What the device reaches at this moment.

    Attributes:
        tflops: Of a large matrix product on random data, 10^12 operations a second, by dtype.
        gbytes: Of a large copy on the device, 10^9 bytes a second, read and written ones counted.
    """

    tflops: dict[str, Positive]
    gbytes: Positive


class CudaTiming(Record):
    """Seconds of one call.

    Attributes:
        device: Between two events around many calls: what a call takes when others queue behind it.
        host_s: Median seconds that the host is busy with a call before it may do the next one. As large as the
            device's: launches are what is waited for.
        calls: In a turn.
    """

    device: Timing
    host_s: Positive
    calls: Count


class CudaFigure(Record):
    """One candidate of the layer at one shape.

    Attributes:
        us_per_step: Microseconds of the device for each of the T steps, all layers and directions together.
        tflops: 10^12 useful operations a second.
        gbytes: 10^9 of the least bytes a second.
        roofline_share: The roofline's seconds over the device's.
        ratio: Its device seconds over ours, median of paired turns (above 1: ours is faster); 1 for our own.
        peak_mib: Memory that a call takes beyond weights and inputs, its results included; None where not measured.
        parity: Largest relative norm of a difference from float64 that was seen before timing.
    """

    timing: CudaTiming
    us_per_step: Positive
    tflops: Positive
    gbytes: Positive
    roofline_share: Positive
    ratio: Positive
    peak_mib: Difference | None
    parity: Difference


class CudaLayerRow(Record):
    """The layer and its peers at one shape.

    Attributes:
        steps: T, tokens of the longest sentence.
        packed_rows: N, tokens.
        input_sets: Different inputs that take turns, so that they do not stay in the cache.
        operations: Useful ones of a call.
        least_bytes: That a call must move.
        roofline_s: The larger of operations over the matrix product's rate and bytes over the copy's.
        figures: By candidate; ``simlstm`` is ours.
        over: Seconds of the fastest of each kind of peer over ours, by "packed", "padded" and "best".
        fastest: Name of the fastest of each kind.
        by_cudnn: Layers of ours that it handed to cuDNN.
    """

    hidden_size: Count
    batch: Count
    num_layers: Count
    mean_length: Positive
    mode: Mode
    steps: Count
    packed_rows: Count
    input_sets: Count
    operations: Count
    least_bytes: Count
    roofline_s: Positive
    ceilings: Ceilings
    figures: dict[str, CudaFigure]
    over: dict[str, Positive]
    fastest: dict[str, str]
    by_cudnn: Annotated[int, Field(ge=0)]


class StepRow(Record):
    """Torch's layer alone on packed input: what a step costs it, before anything of ours is asked.

    Attributes:
        us_per_step: Microseconds a step, by dtype.
    """

    hidden_size: Count
    batch: Count
    mode: Mode
    steps: Count
    us_per_step: dict[str, Positive]


class CudaReport(Record):
    """What the reports of all subjects share.

    Attributes:
        refused: What computed something else or stopped with an error, and so has no figure.
        left_out: What there was no time for.
        plans: What our kernels have measured on this kind of device, in this run or before: by problem, the plan, or
            whether cuDNN is faster.
    """

    machine: CudaMachine
    refused: list[str]
    left_out: list[str]
    plans: dict[str, JsonValue]


class CudaLayerReport(CudaReport):
    """``simlstm benchmark rnn --device cuda``.

    Attributes:
        cudnn_takes: By dtype, whether torch hands it to cuDNN; where not, it walks the steps with kernels of its own.
        step_rows: One layer, the first mean length, torch's layer on packed input.
    """

    subject: Literal["rnn-cuda"] = "rnn-cuda"
    input_size: Count
    dtype: str
    cudnn_takes: dict[str, bool]
    step_rows: list[StepRow]
    rows: list[CudaLayerRow]


class CudaEncodeFigure(Record):
    """One candidate from token ids to vectors.

    Attributes:
        ratio: Its seconds over the frozen encoder's with ids on the device, median of paired turns.
        parity: Lowest cosine with the vectors of float64.
    """

    timing: CudaTiming
    sentences_per_second: Positive
    ratio: Positive
    parity: Difference


class CudaEncodeRow(Record):
    """The frozen encoder and its peers at one shape."""

    hidden_size: Count
    batch: Count
    mean_length: Positive
    steps: Count
    packed_rows: Count
    figures: dict[str, CudaEncodeFigure]


class CudaEncodeReport(CudaReport):
    """``simlstm benchmark encode --device cuda``."""

    subject: Literal["encode-cuda"] = "encode-cuda"
    input_size: Count
    vocabulary_size: Count
    precision: str
    rows: list[CudaEncodeRow]


class CudaTrainFigure(Record):
    """One layer over all measured steps.

    Attributes:
        timing: Seconds of a step, of blocks of steps that run without waiting in between.
        parts: Median milliseconds of the device between the ends of a step's parts.
    """

    timing: Timing
    sentences_per_second: Positive
    parts: dict[str, Difference]


class CudaTrainReport(CudaReport):
    """``simlstm benchmark train --device cuda``: ratios are stock seconds over ours.

    Attributes:
        parity: Relative norm of the difference between both models' first embeddings.
    """

    subject: Literal["train-cuda"] = "train-cuda"
    config: str
    precision: str
    steps: Count
    block: Count
    sentences: Count
    parity: Difference
    ratio: Positive
    figures: dict[str, CudaTrainFigure]
