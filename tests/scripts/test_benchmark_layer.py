"""The layer and its peers: the same results, or no figure."""

import copy
import sys
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from scripts.benchmarking import rnn
from scripts.benchmarking.interleave import Measurement
from scripts.benchmarking.layer_candidates import check_candidates, check_gradients
from scripts.benchmarking.onnx_candidate import OnnxLayer
from scripts.benchmarking.parity import check_close, check_cosine
from scripts.benchmarking.torch_candidates import PackedLayer, PaddedLayer, reference_outputs
from simlstm.rnn import LSTM

HIDDEN = 4


def layers() -> tuple[nn.LSTM, LSTM]:
    torch.manual_seed(0)
    stock = nn.LSTM(rnn.INPUT_SIZE, HIDDEN, bidirectional=True)
    ours = LSTM(rnn.INPUT_SIZE, HIDDEN, bidirectional=True)
    ours.load_state_dict(stock.state_dict())
    return stock, ours


def altered(stock: nn.LSTM, name: str) -> nn.LSTM:
    """Return a layer that is wrong in one weight of one gate."""
    wrong = copy.deepcopy(stock)
    with torch.no_grad():
        wrong.get_parameter(name)[2 * HIDDEN] += 0.1
    return wrong


@pytest.mark.parametrize("batch", [1, 5])
def test_every_peer_computes_the_same(batch: int):
    stock, ours = layers()
    made = rnn.make_batches(batch, HIDDEN, 4.0)
    reference = PackedLayer(stock, made)
    training = {"ours": PackedLayer(ours, made), "padded": PaddedLayer(stock, made)}
    differences = check_candidates(training, reference_outputs(reference))
    gradients = check_gradients(training, reference.gradients())
    assert set(differences) == set(gradients) == {"ours", "padded"}


def test_onnx_runtime_computes_the_same():
    pytest.importorskip("onnxruntime")
    stock, _ = layers()
    made = rnn.make_batches(5, HIDDEN, 4.0)
    peer = OnnxLayer(stock, made)
    shown = peer.outputs()
    assert {"0.rows", "0.hT", "0.cT"} <= set(shown)
    check_candidates({"onnx": peer}, reference_outputs(PackedLayer(stock, made)))


WEIGHTS = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]


@pytest.mark.parametrize("name", WEIGHTS + [f"{name}_reverse" for name in WEIGHTS])
@pytest.mark.parametrize("peer", [PackedLayer, PaddedLayer, OnnxLayer])
def test_a_peer_that_computes_something_else_gets_no_figure(peer: type, name: str):
    if peer is OnnxLayer:
        pytest.importorskip("onnxruntime")
    stock, _ = layers()
    made = rnn.make_batches(5, HIDDEN, 4.0)
    reference = reference_outputs(PackedLayer(stock, made))
    with pytest.raises(RuntimeError, match=r"parity failed: it, 0\..*no speed reported"):
        check_candidates({"it": peer(altered(stock, name), made)}, reference)


@pytest.mark.parametrize("which", ["x", "weight_ih_l0", "weight_hh_l0_reverse", "bias_hh_l0"])
def test_a_wrong_gradient_gets_no_figure(which: str):
    stock, _ = layers()
    made = rnn.make_batches(2, HIDDEN, 4.0)
    reference = PackedLayer(stock, made)
    right = reference.gradients()
    assert {f"0.{which}"} <= set(right)
    wrong = {**right, f"0.{which}": right[f"0.{which}"] * 1.001}
    with pytest.raises(RuntimeError, match=rf"parity failed: it, 0\.{which}"):
        check_gradients({"it": reference}, wrong)


def test_what_is_no_number_is_no_parity():
    with pytest.raises(RuntimeError, match="nan"):
        check_close("it", {"a": torch.tensor([float("nan")])}, {"a": torch.ones(1)}, allowed=1e9)
    with pytest.raises(RuntimeError, match="shapes"):
        check_close("it", {"a": torch.ones(2)}, {"a": torch.ones(1)}, allowed=1.0)
    with pytest.raises(RuntimeError, match="cosine nan"):
        check_cosine("it", torch.tensor([[float("nan"), 1.0]]), torch.ones(1, 2), allowed=0.0)
    assert check_cosine("it", torch.tensor([[1.0, 0], [3, 4]]), torch.tensor([[1.0, 0], [4, 3]]), allowed=0.9) == 0.96


def test_inputs_ask_for_gradients_as_an_embeddings_output_does():
    stock, _ = layers()
    made = rnn.make_batches(2, HIDDEN, 4.0)
    assert PackedLayer(stock, made).gradients()["0.x"].shape == made[0].packed.data.shape


def test_rates_and_ratios_of_a_row():
    made = rnn.make_batches(3, HIDDEN, 4.0)
    tokens = int(made[0].lengths.sum())
    seconds = {"simlstm": [1.0, 2.0, 1.0], "torch packed": [3.0, 6.0, 3.0], "torch padded": [2.0, 4.0, 2.5]}
    row = rnn.layer_row(
        HIDDEN,
        3,
        made,
        {name: Measurement(name, list(values)) for name, values in seconds.items()},
        {"float32 (MKL)": 1e-6, "float32 (oneDNN)": 2e-6, "bfloat16 (oneDNN)": 4e-6},
        dict.fromkeys(seconds, 0.0),
        backward=True,
    )
    assert (row.best_peer, row.ratio) == ("torch padded", 2.0)
    assert row.figures["torch packed"].ratio == 3.0
    assert (row.sentences, row.packed_rows, row.mode) == (3, tokens, "forward+backward")
    operations = 3 * 2 * tokens * 2 * 4 * HIDDEN * (rnn.INPUT_SIZE + HIDDEN)
    assert row.figures["simlstm"].gflops == pytest.approx(1e-9 * operations / 1.0)
    assert row.figures["simlstm"].share_of_peak == pytest.approx(1e-9 * operations / 2e-6)


def test_without_onnx_runtime_the_others_are_measured(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    report = rnn.measure([HIDDEN], [2], mean_length=3.0, turns=2, peak_size=16)
    assert "simlstm[bench]" in report.skipped["ONNX Runtime"]
    inference, training = report.rows
    assert set(training.figures) == {"simlstm", "torch packed", "torch padded"}
    assert set(inference.figures) == {"simlstm prepacked", *training.figures}
    assert inference.best_peer.startswith("torch")
    assert inference.prepacked_ratio is not None
    assert training.prepacked_ratio is None


def test_a_wrong_layer_of_ours_stops_the_measurement(monkeypatch: pytest.MonkeyPatch):
    class Wrong(LSTM):
        def load_state_dict(self, state, *rest, **options):
            return super().load_state_dict({name: 1.01 * value for name, value in state.items()}, *rest, **options)

    monkeypatch.setattr(rnn, "LSTM", Wrong)
    with pytest.raises(RuntimeError, match="parity failed: simlstm"):
        rnn.measure([HIDDEN], [2], mean_length=3.0, turns=2, peak_size=16)


def test_what_prepacked_weights_compute_is_checked_too(monkeypatch: pytest.MonkeyPatch):
    @contextmanager
    def wrong(layer):
        with torch.no_grad():
            layer.weight_hh_l0.zero_()
        yield

    monkeypatch.setattr(rnn, "prepacked", wrong)
    with pytest.raises(RuntimeError, match="parity failed: simlstm prepacked"):
        rnn.measure([HIDDEN], [2], mean_length=3.0, turns=2, peak_size=16)
