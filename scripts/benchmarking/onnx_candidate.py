"""ONNX Runtime's LSTM: one node, sequence lengths given, the same weights."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from scripts.benchmarking.layer_candidates import Batch
from scripts.benchmarking.optional import load_package

_OPSET, _IR_VERSION = 17, 8  # old enough for any ONNX Runtime of the last years; its LSTM kernel is the same
_PURPOSE = "ONNX Runtime as a peer"


class OnnxLayer:
    """A session that runs one LSTM node with ``sequence_lens`` on batches padded to the longest sentence.

    Threads are as many as torch's. Inputs and outputs are bound, so that no copy is timed that a program could avoid.
    Its threads spin on for a while after a run, as they do by default: it is a third faster for single sentences than
    with ``session.force_spinning_stop``. Whoever comes next is not hurt, because every candidate runs once untimed.

    Raises:
        MissingPackageError: when onnx or onnxruntime is not installed.
    """

    def __init__(self, layer: nn.LSTM, batches: Sequence[Batch]) -> None:
        runtime = load_package("onnxruntime", purpose=_PURPOSE)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = runtime.InferenceSession(
            lstm_model(layer), sess_options=options, providers=["CPUExecutionProvider"]
        )
        self.batches = batches
        self.bindings = []
        for batch in batches:
            padded = pad_packed_sequence(batch.packed)[0].detach().contiguous()
            binding = self.session.io_binding()
            binding.bind_cpu_input("x", padded.numpy())
            binding.bind_cpu_input("lengths", batch.lengths.numpy().astype(np.int32))
            for name in ("y", "hT", "cT"):
                binding.bind_output(name, "cpu")
            self.bindings.append(binding)

    def infer(self) -> object:
        """Run every batch forward."""
        for binding in self.bindings:
            self.session.run_with_iobinding(binding)
        return self.bindings

    def outputs(self) -> dict[str, Tensor]:
        """Show rows and final states."""
        self.infer()
        shown: dict[str, Tensor] = {}
        for number, (batch, binding) in enumerate(zip(self.batches, self.bindings, strict=True)):
            y, final_h, final_c = (torch.from_numpy(value) for value in binding.copy_outputs_to_cpu())
            rows = pack_padded_sequence(y.transpose(1, 2).flatten(2), batch.lengths)  # [T, 2, B, H] -> [T, B, 2H]
            shown |= {f"{number}.rows": rows.data, f"{number}.hT": final_h, f"{number}.cT": final_c}
        return shown


def lstm_model(layer: nn.LSTM) -> bytes:
    """Write a one-layer bidirectional ``torch.nn.LSTM`` as an ONNX model with one node.

    ONNX orders the gates i, o, f, c where torch has i, f, g, o, and keeps both directions in one tensor.

    Returns:
        The serialized model: x [T, B, I], lengths [B] int32 -> y [T, 2, B, H], hT and cT [2, B, H].

    Raises:
        MissingPackageError: when onnx is not installed.
    """
    onnx = load_package("onnx", purpose=_PURPOSE)
    size, hidden_size = layer.input_size, layer.hidden_size
    weights = {
        "W": torch.stack([_reordered(getattr(layer, f"weight_ih_l0{d}")) for d in ("", "_reverse")]),
        "R": torch.stack([_reordered(getattr(layer, f"weight_hh_l0{d}")) for d in ("", "_reverse")]),
        "B": torch.stack(
            [
                torch.cat([_reordered(getattr(layer, f"bias_{part}_l0{d}")) for part in ("ih", "hh")])
                for d in ("", "_reverse")
            ]
        ),
    }
    helper, kinds = onnx.helper, onnx.TensorProto
    node = helper.make_node(
        "LSTM", ["x", "W", "R", "B", "lengths"], ["y", "hT", "cT"], hidden_size=hidden_size, direction="bidirectional"
    )
    state = [2, "batch", hidden_size]
    graph = helper.make_graph(
        [node],
        "lstm",
        [
            helper.make_tensor_value_info("x", kinds.FLOAT, ["steps", "batch", size]),
            helper.make_tensor_value_info("lengths", kinds.INT32, ["batch"]),
        ],
        [
            helper.make_tensor_value_info("y", kinds.FLOAT, ["steps", 2, "batch", hidden_size]),
            helper.make_tensor_value_info("hT", kinds.FLOAT, state),
            helper.make_tensor_value_info("cT", kinds.FLOAT, state),
        ],
        [onnx.numpy_helper.from_array(tensor.numpy(), name) for name, tensor in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized


def _reordered(weights: Tensor) -> Tensor:
    """Turn the gates i, f, g, o of the first dimension into i, o, f, c."""
    i, f, g, o = weights.detach().chunk(4)
    return torch.cat([i, o, f, g])
