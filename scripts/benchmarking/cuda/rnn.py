"""The layer on a GPU against torch's, packed and padded, in its fastest dtype, in one interleaved run."""

from collections.abc import Callable
from functools import partial
from itertools import product

import torch

from scripts.benchmarking.cuda.accelerator import Accelerator
from scripts.benchmarking.cuda.attempts import Attempts
from scripts.benchmarking.cuda.candidates import PACKED, kind_of, peers, stock_layer
from scripts.benchmarking.cuda.ceilings import CeilingProbe
from scripts.benchmarking.cuda.cudnn_use import measured_plans
from scripts.benchmarking.cuda.dtypes import DTYPES, peer_dtypes, tf32
from scripts.benchmarking.cuda.gpu import describe_cuda_machine
from scripts.benchmarking.cuda.inputs import Lengths, random_batches
from scripts.benchmarking.cuda.layer_plan import LayerPlan, Shape
from scripts.benchmarking.cuda.layer_shape import measure_shape
from scripts.benchmarking.cuda.records import CudaLayerReport, CudaLayerRow, Mode, StepRow
from scripts.benchmarking.cuda.turns import take_turns


def measure(
    accelerator: Accelerator,
    plan: LayerPlan,
    *,
    save: Callable[[CudaLayerReport], None] = lambda _: None,
    earlier: CudaLayerReport | None = None,
) -> CudaLayerReport:
    """Measure torch's µs per step first, then every shape of the plan: inference, and forward with backward.

    Args:
        accelerator: Where.
        plan: What.
        save: Called with the report so far whenever there is more of it.
        earlier: A report of a run that ended before its time: what it holds or refused is not tried again.

    Raises:
        ValueError: when the earlier report is of another dtype.
    """
    if earlier is not None and earlier.dtype != plan.dtype:
        raise ValueError(f"--resume: the earlier report is of {earlier.dtype}, {plan.dtype} was asked for")
    step_rows = [] if earlier is None else list(earlier.step_rows)
    rows = [] if earlier is None else list(earlier.rows)
    machine = describe_cuda_machine(accelerator.device)
    cudnn_takes = {name: _taken_by_cudnn(accelerator.device, name) for name in peer_dtypes(plan.dtype)}

    def report() -> CudaLayerReport:
        made = CudaLayerReport(
            machine=machine,
            input_size=plan.input_size,
            dtype=plan.dtype,
            cudnn_takes=cudnn_takes,
            step_rows=list(step_rows),
            rows=list(rows),
            refused=list(attempts.refused),
            left_out=list(attempts.left_out),
            plans=measured_plans(accelerator.device),
        )
        save(made)
        return made

    def keep(row: CudaLayerRow) -> None:
        rows.append(row)
        report()

    attempts = Attempts(accelerator, plan.seconds, save=report)
    attempts.resume([] if earlier is None else earlier.refused)
    with tf32():
        for hidden_size, batch in product(plan.hidden_sizes, plan.batches):
            shape = Shape(hidden_size, batch, 1, plan.mean_lengths[0])
            what = f"torch's steps, {shape}"
            if not attempts.was_refused(what) and not any(
                shape.size == (row.hidden_size, row.batch) for row in step_rows
            ):
                step_rows += attempts.in_time(what, partial(_steps, accelerator, plan, shape)) or []
        report()
        probe = CeilingProbe(accelerator, peer_dtypes(plan.dtype), size=plan.peak_size, copy_bytes=plan.copy_bytes)
        for layers, mean, hidden_size, batch in product(
            plan.layers, plan.mean_lengths, plan.hidden_sizes, plan.batches
        ):
            shape = Shape(hidden_size, batch, layers, mean)
            if attempts.was_refused(str(shape)) or any(shape == Shape.of(row) for row in rows):
                continue
            if attempts.ended_a_process(shape.size_name):
                attempts.left_out.append(f"{shape} (another shape of this size did not end, or broke the device)")
                continue
            attempts.in_time(str(shape), partial(measure_shape, accelerator, plan, shape, probe, attempts, keep))
    return report()


def _steps(accelerator: Accelerator, plan: LayerPlan, shape: Shape) -> list[StepRow]:
    """Time torch's layer alone on packed input, in a quarter of the turns."""
    drawn = Lengths.drawn(shape.batch, shape.mean_length)
    stock = stock_layer(plan.input_size, shape.hidden_size, 1, plan.dtype, accelerator.device)
    made = random_batches(
        accelerator, drawn, input_size=plan.input_size, hidden_size=shape.hidden_size, dtype=DTYPES[plan.dtype]
    )
    packed = {name: peer for name, peer in peers(stock, made, plan.dtype).items() if kind_of(name) == "packed"}
    modes: dict[Mode, dict[str, Callable[[int], object]]] = {
        "inference": {name: peer.infer_batch for name, peer in packed.items()},
        "forward+backward": {name: peer.step_batch for name, peer in packed.items()},
    }
    found = []
    for mode, calls in modes.items():
        taken = take_turns(accelerator, calls, turns=max(2, plan.turns // 4), turn_seconds=plan.turn_seconds)
        per_step = {
            name.removeprefix(f"{PACKED} "): 1e6 * turns.device.median / drawn.steps for name, turns in taken.items()
        }
        row = StepRow(
            hidden_size=shape.hidden_size, batch=shape.batch, mode=mode, steps=drawn.steps, us_per_step=per_step
        )
        found.append(row)
    return found


def _taken_by_cudnn(device: torch.device, dtype: str) -> bool:
    sample = torch.empty(1, device=device, dtype=DTYPES[dtype])
    return torch.cudnn_is_acceptable(sample)
