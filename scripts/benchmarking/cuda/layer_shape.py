"""The layer and its peers at one shape: made, compared with float64, timed."""

from collections.abc import Callable, Mapping
from functools import partial

from scripts.benchmarking.cuda.accelerator import Accelerator
from scripts.benchmarking.cuda.attempts import Attempts
from scripts.benchmarking.cuda.candidates import (
    GRAPH,
    OURS,
    Entry,
    GraphedLayer,
    Reference,
    RotatingPackedLayer,
    forget_gradients,
    kind_of,
    our_layer,
    peers,
    reference,
    stock_layer,
)
from scripts.benchmarking.cuda.ceilings import CeilingProbe
from scripts.benchmarking.cuda.cudnn_use import layers_by_cudnn
from scripts.benchmarking.cuda.dtypes import DTYPES
from scripts.benchmarking.cuda.inputs import Lengths, random_batches
from scripts.benchmarking.cuda.layer_plan import LayerPlan, Shape
from scripts.benchmarking.cuda.norms import GRADIENTS, OUTPUTS, PEER_FACTOR, check_norms
from scripts.benchmarking.cuda.records import Ceilings, CudaFigure, CudaLayerRow, Mode
from scripts.benchmarking.cuda.turns import Turns, take_turns
from scripts.benchmarking.cuda.work import LayerWork, least_bytes, operations, roofline_seconds
from scripts.benchmarking.interleave import median_ratio

_GRAPHS = 4  # each has memory of its own


def measure_shape(
    accelerator: Accelerator,
    plan: LayerPlan,
    shape: Shape,
    probe: CeilingProbe,
    attempts: Attempts,
    keep: Callable[[CudaLayerRow], None],
) -> None:
    """Compare every candidate with float64, and time those that compute the same.

    A peer that fails is left out and named among the refused; when ours fails, or every peer, there is no row.

    Args:
        accelerator: Where.
        plan: How.
        shape: What.
        probe: Measures the ceilings beside it.
        attempts: Takes note of what fails.
        keep: Called with the row for inference, and with the one for forward with backward.
    """
    drawn = Lengths.drawn(shape.batch, shape.mean_length)
    work = LayerWork(drawn.rows, shape.batch, plan.input_size, shape.hidden_size, shape.num_layers)
    stock = stock_layer(plan.input_size, shape.hidden_size, shape.num_layers, plan.dtype, accelerator.device)
    made = random_batches(
        accelerator, drawn, input_size=plan.input_size, hidden_size=shape.hidden_size, dtype=DTYPES[plan.dtype]
    )
    right = reference(stock, made[0], operations=operations(work, backward=False))
    ours = our_layer(stock, plan.dtype)
    candidates = {OURS: RotatingPackedLayer(ours, made), **peers(stock, made, plan.dtype)}
    inference = {name: Entry(layer.infer_batch, layer.outputs) for name, layer in candidates.items()}
    training = {name: Entry(layer.step_batch, layer.gradients) for name, layer in candidates.items()}
    if shape.batch <= plan.graph_batch:
        graph = attempts.make(f"{shape}, {GRAPH}", partial(GraphedLayer, accelerator, ours, made[:_GRAPHS]))
        inference |= {} if graph is None else {GRAPH: Entry(graph.infer_batch, graph.outputs)}
    modes: dict[Mode, dict[str, Entry]] = {"inference": inference, "forward+backward": training}
    for mode, entries in modes.items():
        parity = _parities(attempts, f"{shape}, {mode}", entries, right, plan.dtype, backward=mode != "inference")
        if OURS in parity and any(kind_of(name) for name in parity):
            calls = {name: entries[name].run for name in parity}
            ceilings = probe.measure()
            taken = take_turns(accelerator, calls, turns=plan.turns, turn_seconds=plan.turn_seconds)
            for layer in candidates.values():
                forget_gradients(layer)
            memory = {
                # A graph's memory is its own, taken when it was captured.
                name: None if name == GRAPH else accelerator.peak_bytes(partial(call, 0))
                for name, call in calls.items()
            }
            keep(
                layer_row(
                    shape,
                    mode,
                    drawn,
                    work,
                    ceilings,
                    taken,
                    parity,
                    memory,
                    dtype=plan.dtype,
                    sets=len(made),
                    by_cudnn=layers_by_cudnn(partial(calls[OURS], 0)),
                )
            )


def _parities(
    attempts: Attempts, where: str, entries: Mapping[str, Entry], right: Reference, dtype: str, *, backward: bool
) -> dict[str, float]:
    """Return the largest difference of each candidate that computes what it should."""
    tensors = right.gradients if backward else right.outputs
    found = {}
    for name, entry in entries.items():
        kind = kind_of(name)
        computed = dtype if kind is None else name.rpartition(" ")[2]
        allowed = (GRADIENTS if backward else OUTPUTS)[computed] * (1.0 if kind is None else PEER_FACTOR)

        def compare(name: str = name, entry: Entry = entry, allowed: float = allowed) -> float:
            return check_norms(name, entry.shown(), tensors, allowed=allowed)

        parity = attempts.make(f"{where}, {name}", compare)
        if parity is not None:
            found[name] = parity
    return found


def layer_row(
    shape: Shape,
    mode: Mode,
    drawn: Lengths,
    work: LayerWork,
    ceilings: Ceilings,
    taken: Mapping[str, Turns],
    parity: Mapping[str, float],
    memory: Mapping[str, int | None],
    *,
    dtype: str,
    sets: int,
    by_cudnn: int,
) -> CudaLayerRow:
    """Turn seconds into rates, shares of the roofline and ratios; of each kind of peer, the fastest dtype counts.

    Args:
        shape: What was measured.
        mode: Inference, or forward with backward.
        drawn: Its lengths.
        work: Its operations and bytes.
        ceilings: Of the device at this moment.
        taken: Seconds by candidate.
        parity: Differences by candidate.
        memory: Bytes of a call by candidate.
        dtype: Of our layer; the roofline is its.
        sets: Inputs that took turns.
        by_cudnn: Layers of ours that it handed to cuDNN.
    """
    operation_count = operations(work, backward=mode != "inference")
    byte_count = least_bytes(work, itemsize=DTYPES[dtype].itemsize, backward=mode != "inference")
    roofline = roofline_seconds(operation_count, byte_count, ceilings, dtype)
    figures = {}
    for name, turns in taken.items():
        seconds, taken_bytes = turns.device.median, memory[name]
        figures[name] = CudaFigure(
            timing=turns.timing(),
            us_per_step=1e6 * seconds / drawn.steps,
            tflops=1e-12 * operation_count / seconds,
            gbytes=1e-9 * byte_count / seconds,
            roofline_share=roofline / seconds,
            ratio=median_ratio(turns.device, taken[OURS].device),
            peak_mib=None if taken_bytes is None else taken_bytes / 2**20,
            parity=parity[name],
        )
    fastest = {}
    for kind in ("packed", "padded", "best"):
        names = [name for name in taken if kind_of(name) is not None and kind in (kind_of(name), "best")]
        if names:
            fastest[kind] = min(names, key=lambda name: taken[name].device.median)
    return CudaLayerRow(
        hidden_size=shape.hidden_size,
        batch=shape.batch,
        num_layers=shape.num_layers,
        mean_length=shape.mean_length,
        mode=mode,
        steps=drawn.steps,
        packed_rows=drawn.rows,
        input_sets=sets,
        operations=operation_count,
        least_bytes=byte_count,
        roofline_s=roofline,
        ceilings=ceilings,
        figures=figures,
        over={kind: figures[name].ratio for kind, name in fastest.items()},
        fastest=fastest,
        by_cudnn=by_cudnn,
    )
