"""ONNX files of models around the layer, in ONNX Runtime."""

import importlib
import sys

import pytest
import torch
from export_cases import MODELS, RAGGED, B, T, model_and_arguments
from lstm_cases import WIDTH, pair, sequences
from torch.nn.utils.rnn import pack_sequence

from simlstm.rnn import LSTM

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
export_onnx = pytest.importorskip("simlstm.rnn.onnx", exc_type=ImportError).export_onnx

# torch.export warns of torch's own pytree, torch.onnx of names that it gives two axes that are one.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*treespec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:# The axis name:UserWarning"),
]


@pytest.mark.parametrize("arguments", MODELS, ids=str)
def test_onnx_runtime_agrees(arguments, tmp_path):
    model, example, dynamic = model_and_arguments(arguments)
    names = ["x", "lengths", "h0", "c0"]
    export_onnx(
        model,
        example([3, 2], 5),
        tmp_path / "model.onnx",
        dynamic_shapes=dynamic,
        input_names=names,
        output_names=["y", "hT", "cT"],
    )
    graph = onnx.load(tmp_path / "model.onnx").graph
    layers = [node for node in graph.node if node.op_type == "LSTM"]
    assert len(layers) == model.layer.num_layers
    # Inputs are X, W, R, B, sequence_lens, initial_h, initial_c; weights lie in the file as the node takes them.
    stored = {tensor.name for tensor in graph.initializer}
    for node in layers:
        assert set(node.input[1:3]) <= stored
        assert (node.input[3] in stored) == model.layer.bias
        assert all(node.input[4:7])
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert [entry.name for entry in session.get_inputs()] == names
    for lengths, steps in RAGGED:
        inputs = example(lengths, steps)
        results = session.run(None, {name: value.numpy() for name, value in zip(names, inputs, strict=True)})
        for actual, expected in zip(results, model(*inputs), strict=True):
            # float32; ONNX Runtime's sigmoid and tanh are rational approximations, good to about 1e-6.
            torch.testing.assert_close(torch.from_numpy(actual), expected.detach(), rtol=1e-5, atol=2e-6)


def test_padded_input_in_onnx_runtime(tmp_path):
    _, layer = pair(torch.float32, bidirectional=True)
    export_onnx(layer.eval(), (torch.randn(5, 2, WIDTH),), tmp_path / "layer.onnx", dynamic_shapes=({0: T, 1: B},))
    session = onnxruntime.InferenceSession(tmp_path / "layer.onnx")
    for shape in ((5, 2), (1, 1), (9, 4)):
        x = torch.randn(*shape, WIDTH)
        y, hT, cT = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        expected, (h_expected, c_expected) = layer(x)
        for actual, value in ((y, expected), (hT, h_expected), (cT, c_expected)):
            torch.testing.assert_close(torch.from_numpy(actual), value.detach(), rtol=1e-5, atol=2e-6)


def test_what_onnx_has_not_is_refused(tmp_path):
    x = torch.randn(5, 2, WIDTH)
    _, layer = pair(torch.float32)
    with pytest.raises(ValueError, match=r"module must be in evaluation mode: call module.eval\(\) first"):
        export_onnx(layer, (x,), tmp_path / "layer.onnx")
    _, projected = pair(torch.float32, proj_size=2)
    with pytest.raises(ValueError, match="proj_size must be 0 for ONNX, got 2 in layer '0'"):
        export_onnx(torch.nn.Sequential(projected).eval(), (x,), tmp_path / "layer.onnx")
    zoned_out = LSTM(WIDTH, 5, zoneout_c=1)
    with pytest.raises(ValueError, match="zoneout_c must be 0 for ONNX, got 1 in layer '0'"):
        export_onnx(torch.nn.Sequential(zoned_out).eval(), (x,), tmp_path / "layer.onnx")
    packed = pack_sequence(sequences([2, 3], torch.float32), enforce_sorted=False)
    with pytest.raises(torch.onnx.OnnxExporterError) as refusal:
        export_onnx(layer.eval(), (packed,), tmp_path / "layer.onnx")
    # torch wraps what the translation of a node raises.
    reasons = [error := refusal.value]
    while (error := error.__cause__) is not None:
        reasons.append(error)
    assert any("a PackedSequence has no counterpart in ONNX" in str(reason) for reason in reasons)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "simlstm.rnn.onnx", raising=False)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r'pip install "simlstm\[onnx\]"'):
        importlib.import_module("simlstm.rnn.onnx")
