"""Token ids to vectors on a GPU: the frozen encoder, the stock modules, and a transformer of MiniLM's shape."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from scripts.benchmarking.cuda.accelerator import Accelerator
from scripts.benchmarking.cuda.attempts import Attempts
from scripts.benchmarking.cuda.cudnn_use import measured_plans
from scripts.benchmarking.cuda.encode_candidates import (
    FROM_HOST,
    FROZEN,
    TRANSFORMER,
    TRANSFORMER_NESTED,
    FrozenCandidate,
    TokenSet,
    TransformerCandidate,
    right_vectors,
    stock_candidates,
    token_sets,
)
from scripts.benchmarking.cuda.gpu import describe_cuda_machine
from scripts.benchmarking.cuda.inputs import Lengths
from scripts.benchmarking.cuda.records import CudaEncodeFigure, CudaEncodeReport, CudaEncodeRow
from scripts.benchmarking.cuda.transformer import MiniLmShape
from scripts.benchmarking.cuda.turns import TURN_SECONDS, Turns, take_turns
from scripts.benchmarking.encode_shapes import INPUT_SIZE, VOCABULARY_SIZE
from scripts.benchmarking.interleave import median_ratio
from scripts.benchmarking.parity import check_cosine
from simlstm.models.encoder import SentenceEncoder
from simlstm.models.frozen import FrozenEncoder
from simlstm.rnn.frozen import Precision

_SETS = 4  # the tables and weights, which are read whatever the tokens are, are most of what is moved
# Lowest accepted cosine of a sentence's vector with that of float64. bf16 rounds to half a unit in 8 bits, 2e-3, whose
# square is what a cosine loses: 1e-6 to 1e-5. The stock modules keep the cell state in bf16, too. A transformer's
# residual stream is rounded at each of its layers. Without the recurrent product it is below 0.99.
COSINE, STOCK_COSINE, TRANSFORMER_COSINE = 0.9999, 0.999, 0.995


@dataclass(frozen=True)
class EncodePlan:
    """What is measured: every H at every B, the largest batches first, because the rate is asked for.

    Attributes:
        seconds: No shape is begun after them.
        precision: Of the frozen encoder.
        vocabulary_size: Of all encoders.
    """

    hidden_sizes: Sequence[int]
    batches: Sequence[int]
    mean_length: float
    turns: int
    seconds: float
    precision: Precision = "bfloat16"
    turn_seconds: float = TURN_SECONDS
    vocabulary_size: int = VOCABULARY_SIZE
    input_size: int = INPUT_SIZE


def measure(
    accelerator: Accelerator,
    plan: EncodePlan,
    *,
    save: Callable[[CudaEncodeReport], None] = lambda _: None,
    earlier: CudaEncodeReport | None = None,
) -> CudaEncodeReport:
    """Measure sentences a second at each shape.

    Args:
        accelerator: Where.
        plan: What.
        save: Called with the report so far whenever there is more of it.
        earlier: A report of a run that ended before its time: what it holds or refused is not tried again.
    """
    machine = describe_cuda_machine(accelerator.device)
    rows = [] if earlier is None else list(earlier.rows)

    def report() -> CudaEncodeReport:
        made = CudaEncodeReport(
            machine=machine,
            input_size=plan.input_size,
            vocabulary_size=plan.vocabulary_size,
            precision=plan.precision,
            rows=sorted(rows, key=lambda row: (row.hidden_size, row.batch)),
            refused=list(attempts.refused),
            left_out=list(attempts.left_out),
            plans=measured_plans(accelerator.device),
        )
        save(made)
        return made

    attempts = Attempts(accelerator, plan.seconds, save=report)
    attempts.resume([] if earlier is None else earlier.refused)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The PyTorch API of nested tensors")
        for batch in sorted(plan.batches, reverse=True):
            drawn = Lengths.drawn(batch, plan.mean_length)
            sets = token_sets(_SETS, drawn, plan.vocabulary_size, accelerator.device)
            for hidden_size in plan.hidden_sizes:
                what = f"H={hidden_size} B={batch}"
                if attempts.was_refused(what) or any(
                    (hidden_size, batch) == (row.hidden_size, row.batch) for row in rows
                ):
                    continue
                row = attempts.in_time(what, partial(_shape, accelerator, plan, hidden_size, drawn, sets, attempts))
                rows += [] if row is None else [row]
                report()
    return report()


def _shape(
    accelerator: Accelerator,
    plan: EncodePlan,
    hidden_size: int,
    drawn: Lengths,
    sets: Sequence[TokenSet],
    attempts: Attempts,
) -> CudaEncodeRow | None:
    """Compare and time every candidate at one shape; without the frozen encoder there is no row."""
    device, batch = accelerator.device, len(drawn.lengths)
    torch.manual_seed(0)
    encoder = SentenceEncoder(
        vocabulary_size=plan.vocabulary_size, embedding_size=plan.input_size, hidden_size=hidden_size, pooling="max"
    )
    encoder = encoder.eval().to(device)
    right = right_vectors(encoder, sets[0])
    where = f"H={hidden_size} B={batch}"
    calls: dict[str, Callable[[int], Tensor]] = {}
    parity: dict[str, float] = {}

    def enter(name: str, make: Callable[[], Callable[[int], Tensor]], right: Tensor, allowed: float) -> None:
        def checked() -> tuple[Callable[[int], Tensor], float]:
            run = make()
            return run, check_cosine(name, run(0).to(right.device), right, allowed=allowed)

        found = attempts.make(f"{where}, {name}", checked)
        if found is not None:
            calls[name], parity[name] = found

    frozen = attempts.make(f"{where}, freezing", partial(FrozenEncoder.from_encoder, encoder, precision=plan.precision))
    if frozen is not None:
        enter(FROZEN, lambda: FrozenCandidate(frozen, sets, from_host=False).run, right, COSINE)
        enter(FROM_HOST, lambda: FrozenCandidate(frozen, sets, from_host=True).run, right, COSINE)
    if FROZEN not in calls:
        return None
    for name, stock in stock_candidates(encoder, sets).items():
        enter(name, lambda stock=stock: stock.run, right, STOCK_COSINE)  # type: ignore[misc]
    transformer = {
        name: _transformer(plan.vocabulary_size, nested=name == TRANSFORMER_NESTED).to(device, torch.bfloat16)
        for name in (TRANSFORMER, TRANSFORMER_NESTED)
    }
    exact = _transformer(plan.vocabulary_size, nested=False).to(device, torch.float64)
    vectors = sets[0].padded.encode(exact)
    for name, model in transformer.items():
        enter(name, lambda model=model: TransformerCandidate(model, sets).run, vectors, TRANSFORMER_COSINE)  # type: ignore[misc]
    taken = take_turns(accelerator, calls, turns=plan.turns, turn_seconds=plan.turn_seconds)
    return CudaEncodeRow(
        hidden_size=hidden_size,
        batch=batch,
        mean_length=plan.mean_length,
        steps=drawn.steps,
        packed_rows=drawn.rows,
        figures=encode_figures(taken, parity, batch),
    )


def _transformer(vocabulary_size: int, *, nested: bool) -> MiniLmShape:
    torch.manual_seed(0)
    return MiniLmShape(vocabulary_size, nested=nested).eval()


def encode_figures(taken: Mapping[str, Turns], parity: Mapping[str, float], batch: int) -> dict[str, CudaEncodeFigure]:
    """Turn seconds into sentences a second, and into ratios over the frozen encoder with ids on the device.

    Args:
        taken: Seconds of a batch by candidate.
        parity: Lowest cosine by candidate.
        batch: B.
    """
    return {
        name: CudaEncodeFigure(
            timing=turns.timing(),
            sentences_per_second=batch / turns.device.median,
            ratio=median_ratio(turns.device, taken[FROZEN].device),
            parity=parity[name],
        )
        for name, turns in taken.items()
    }
