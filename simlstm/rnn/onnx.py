"""ONNX export: each layer of an LSTM becomes one ONNX LSTM node, its lengths the node's ``sequence_lens``.

Needs more than torch, and is therefore not imported by the package: ``from simlstm.rnn.onnx import export_onnx``.
"""

from collections.abc import Sequence
from os import PathLike
from typing import Any

import torch
from torch import nn

from simlstm.rnn.gates import reorder_gates
from simlstm.rnn.layer import LSTM

try:
    import onnx_ir as ir
    from onnxscript import opset18, optimizer
except ImportError as error:
    raise ImportError('ONNX export needs onnx and onnxscript: pip install "simlstm[onnx]"') from error

# onnxscript types its operators by an opset's overloads; the values here belong to a graph that is being made.
op: Any = opset18

# What brings torch's parameters into ONNX's order and shape: done at export, so that the file holds the outcome.
_REARRANGING = frozenset({"Gather", "Unsqueeze", "Concat"})


def export_onnx(
    module: nn.Module,
    arguments: tuple[Any, ...],
    file: str | PathLike[str],
    *,
    dynamic_shapes: Any = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> None:
    """Write a module, in which LSTM layers are called with padded input or with (x, lengths), as an ONNX file.

    Every layer is one node of the operator LSTM (https://onnx.ai/onnx/operators/onnx__LSTM.html), both directions in
    it. The node takes lengths as ``sequence_lens`` and gives zeros behind each. Of a sequence without a step it would
    give zeros as final states as well: two more nodes put the initial ones there.

    Args:
        module: in evaluation mode.
        arguments: an example of its positional arguments. Sizes that are to be dynamic should be at least 2.
        file: where to write.
        dynamic_shapes: which sizes may differ from the example's, as :func:`torch.export.export` takes it.
        input_names: of the graph; (x, lengths) are two.
        output_names: of the graph.

    Raises:
        ValueError: the module is in training mode, or a layer has a projection or zoneout, which ONNX's LSTM has not.
    """
    if module.training:
        raise ValueError("module must be in evaluation mode: call module.eval() first")
    for name, layer in module.named_modules():
        for argument in ("proj_size", "zoneout_h", "zoneout_c"):
            if isinstance(layer, LSTM) and getattr(layer, argument) > 0:
                raise ValueError(f"{argument} must be 0 for ONNX, got {getattr(layer, argument)} in layer {name!r}")
    program = torch.onnx.export(
        module,
        arguments,
        dynamo=True,
        verbose=False,
        dynamic_shapes=dynamic_shapes,
        input_names=input_names,
        output_names=output_names,
        custom_translation_table={torch.ops.simlstm.lstm_layer.default: _lstm_node},
    )
    assert program is not None  # noqa: S101 - with dynamo=True there is one
    optimizer.fold_constants(program.model, should_fold=lambda node: True if node.op_type in _REARRANGING else None)
    optimizer.remove_unused_nodes(program.model)
    program.save(file)


def _lstm_node(
    x: Any, lengths: Any, batch_sizes: Any, h0: Any, c0: Any, weights: Sequence[Any]
) -> tuple[Any, Any, Any]:
    """Translate ``simlstm::lstm_layer``; the arguments are values of the ONNX graph that is being made."""
    if batch_sizes is not None:
        raise ValueError("a PackedSequence has no counterpart in ONNX: call the layer with (x, lengths)")
    directions, hidden_size = int(h0.shape[0]), int(h0.shape[2])
    size = len(weights) // directions
    order = reorder_gates(torch.arange(4 * hidden_size), source="torch", target="onnx")
    rows = op.Constant(value=ir.tensor(order.numpy()))

    def stacked(field: int) -> Any:
        """Stack one parameter of each direction, [D, 4H, *], gates in ONNX's order."""
        first = op.Constant(value_ints=[0])
        each = [op.Unsqueeze(op.Gather(weights[d * size + field], rows, axis=0), first) for d in range(directions)]
        return op.Concat(*each, axis=0)

    y, hT, cT = op.LSTM(
        x,
        stacked(0),
        stacked(1),
        op.Concat(stacked(2), stacked(3), axis=1) if size == 4 else None,
        None if lengths is None else op.Cast(lengths, to=ir.DataType.INT32),
        h0,
        c0,
        hidden_size=hidden_size,
        direction="bidirectional" if directions == 2 else "forward",
    )
    y = op.Reshape(op.Transpose(y, perm=[0, 2, 1, 3]), op.Constant(value_ints=[0, 0, directions * hidden_size]))
    if lengths is None:
        return y, hT, cT
    has_step = op.Unsqueeze(op.Cast(lengths, to=ir.DataType.BOOL), op.Constant(value_ints=[1]))  # [B, 1]
    return y, op.Where(has_step, hT, h0), op.Where(has_step, cT, c0)
