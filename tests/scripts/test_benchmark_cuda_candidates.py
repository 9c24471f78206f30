"""What is timed on a GPU, and on what: inputs, candidates, the transformer, and the parity that each has to show."""

import pytest
import torch
from torch import nn
from torch.backends.cudnn import rnn

from scripts.benchmarking.cuda.accelerator import HostAccelerator
from scripts.benchmarking.cuda.candidates import (
    GraphedLayer,
    RotatingPackedLayer,
    RotatingPaddedLayer,
    forget_gradients,
    kind_of,
    our_layer,
    peers,
    reference,
    stock_layer,
)
from scripts.benchmarking.cuda.dtypes import DTYPES
from scripts.benchmarking.cuda.flat_weights import flatten_weights
from scripts.benchmarking.cuda.inputs import Lengths, in_dtype, input_sets, random_batches
from scripts.benchmarking.cuda.norms import ParityError, check_norms, relative_norm
from scripts.benchmarking.cuda.transformer import MiniLmShape, PaddedSentences

CPU = torch.device("cpu")


def test_a_norm_is_relative_and_a_single_row_counts():
    right = torch.tensor([[3.0, 4.0], [0.0, 5.0]], dtype=torch.float64)
    off = right + torch.tensor([[0.0, 0.0], [0.03, 0.04]])
    assert relative_norm("it", off, right, allowed=0.1) == pytest.approx(0.05 / 50**0.5)
    many = torch.ones(1000, 4, dtype=torch.float64)
    one = many.clone()
    one[7] = 0.8  # 0.2 of a row, 6e-3 of them all
    with pytest.raises(ParityError, match=r"it: one row is off by 2\.0e-01, allowed 1e-01"):
        relative_norm("it", one, many, allowed=1e-2)
    one[7] = 0.95
    assert relative_norm("it", one, many, allowed=1e-2) == pytest.approx(0.05 / 1000**0.5)


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        (torch.tensor([float("nan"), 1.0]), "relative norm nan"),
        (torch.tensor([1.1, 1.0]), "relative norm 7.1e-02 of the difference, allowed 1e-02"),
        (torch.ones(3), r"shapes \[3\] and \[2\]"),
    ],
)
def test_what_differs_is_refused(ours: torch.Tensor, said: str):
    with pytest.raises(ParityError, match=f"parity failed: it, a: {said}"):
        check_norms("it", {"a": ours}, {"a": torch.ones(2, dtype=torch.float64)}, allowed=1e-2)


def test_lengths_and_batch_sizes_are_those_of_torch():
    drawn = Lengths.drawn(7, 4.0)
    packed = nn.utils.rnn.pack_padded_sequence(torch.zeros(int(drawn.lengths[0]), 7), drawn.lengths)
    assert torch.equal(drawn.batch_sizes, packed.batch_sizes)
    assert (drawn.steps, drawn.rows) == (int(drawn.lengths[0]), len(packed.data))


def test_inputs_exceed_the_cache_as_far_as_it_makes_sense():
    assert [input_sets(each, 100) for each in (1, 30, 100, 1000)] == [200, 7, 2, 1]
    assert input_sets(1, 10**6) == 256


def test_inputs_are_random_all_different_and_ask_for_gradients():
    drawn = Lengths.drawn(3, 4.0)
    accelerator = HostAccelerator(cache_bytes=drawn.rows * 5 * 2)
    made = random_batches(accelerator, drawn, input_size=5, hidden_size=4, dtype=torch.bfloat16)
    assert len(made) == 2
    assert not torch.equal(made[0].packed.data, made[1].packed.data)
    assert (made[0].packed.data.shape, made[0].gradient.shape) == ((drawn.rows, 5), (drawn.rows, 8))
    half = in_dtype(made, torch.float16)[0]
    assert half.packed.data.requires_grad
    assert half.packed.data.is_leaf
    torch.testing.assert_close(half.packed.data, made[0].packed.data.half())


def shape(num_layers: int, dtype: str):
    stock = stock_layer(6, 8, num_layers, dtype, CPU)
    made = random_batches(
        HostAccelerator(1000), Lengths.drawn(4, 5.0), input_size=6, hidden_size=8, dtype=DTYPES[dtype]
    )
    return stock, made, reference(stock, made[0], operations=10)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_every_candidate_shows_what_float64_computes(num_layers: int):
    stock, made, right = shape(num_layers, "float32")
    candidates = {"simlstm": RotatingPackedLayer(our_layer(stock, "float32"), made), **peers(stock, made, "float32")}
    assert [kind_of(name) for name in candidates] == [None, "packed", "padded"]
    for name, candidate in candidates.items():
        assert check_norms(name, candidate.outputs(), right.outputs, allowed=1e-5) < 1e-5
        assert check_norms(name, candidate.gradients(), right.gradients, allowed=1e-5) < 1e-5
    shown = set(candidates["torch padded float32"].outputs())
    assert shown == ({"0.rows.forward", "0.rows.full"} if num_layers == 1 else {"0.rows.full"})
    assert "0.x.full" in candidates["torch padded float32"].gradients()
    graph = GraphedLayer(HostAccelerator(), our_layer(stock, "float32"), made[:2])
    assert check_norms("graph", graph.outputs(), right.outputs, allowed=1e-5) < 1e-5
    assert set(graph.outputs()) == {"0.rows", "0.hT", "0.cT"}


def test_a_replay_that_writes_nothing_is_refused():
    stock, made, right = shape(1, "float32")

    class Idle(HostAccelerator):
        def record(self, call):
            call()
            return lambda: None

    graph = GraphedLayer(Idle(), our_layer(stock, "float32"), made[:1])
    with pytest.raises(ParityError, match="nan"):
        check_norms("graph", graph.outputs(), right.outputs, allowed=1e-2)


@pytest.mark.parametrize("kind", [RotatingPackedLayer, RotatingPaddedLayer])
@pytest.mark.parametrize("name", ["weight_hh_l0", "weight_ih_l1_reverse", "bias_hh_l1"])
def test_a_candidate_that_computes_something_else_is_refused(kind: type, name: str):
    stock, made, right = shape(2, "float32")
    with torch.no_grad():
        stock.get_parameter(name)[5] += 0.5
    candidate = kind(stock, made)
    with pytest.raises(ParityError):
        check_norms("it", candidate.outputs(), right.outputs, allowed=1e-3)
    with pytest.raises(ParityError):
        check_norms("it", candidate.gradients(), right.gradients, allowed=1e-3)


@pytest.mark.parametrize("kind", [RotatingPackedLayer, RotatingPaddedLayer])
def test_inputs_take_turns_and_gradients_can_be_let_go(kind: type):
    stock, made, _ = shape(1, "float32")
    candidate = kind(stock, made)
    inputs = candidate.padded if kind is RotatingPaddedLayer else [batch.packed.data for batch in made]
    assert len(inputs) > 2
    candidate.step_batch(len(inputs) + 1)
    assert [tensor.grad is not None for tensor in inputs] == [number == 1 for number in range(len(inputs))]
    seen = []
    stock.register_forward_pre_hook(lambda _, given: seen.append(getattr(given[0], "data", given[0]).data_ptr()))
    candidate.infer_batch(0)
    candidate.infer_batch(1)
    assert seen == [tensor.data_ptr() for tensor in inputs[:2]]
    forget_gradients(candidate)
    assert all(tensor.grad is None for tensor in [*inputs, *stock.parameters()])


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_the_transformer_has_minilms_shape_and_padding_changes_nothing(nested: bool):
    torch.manual_seed(0)
    model = MiniLmShape(30, nested=nested).eval()
    numbers = sum(parameter.numel() for parameter in model.layers.parameters())
    assert numbers == 6 * (4 * 384 * 384 + 4 * 384 + 2 * 384 * 1536 + 1536 + 384 + 4 * 384)
    sentences = [[5, 6, 7, 8, 9], [3, 4], [2]]
    together = PaddedSentences(sentences, CPU).encode(model)
    alone = torch.cat([PaddedSentences([sentence], CPU).encode(model) for sentence in sentences])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(3))
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_both_paths_of_the_transformer_compute_the_same():
    sentences = PaddedSentences([[5, 6, 7], [3, 4]], CPU)
    ((ids, padding),) = sentences.batches
    assert padding.tolist() == [[False] * 3, [False, False, True]]
    assert ids.tolist() == [[5, 6, 7], [3, 4, 0]]
    vectors = []
    for nested in (False, True):
        torch.manual_seed(0)
        vectors.append(sentences.encode(MiniLmShape(30, nested=nested).eval()))
    torch.testing.assert_close(*vectors, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_weights_are_flattened_in_every_dtype_that_cudnn_takes(monkeypatch: pytest.MonkeyPatch, dtype: str):
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(torch, "_cudnn_rnn_flatten_weight", lambda *given: asked.append(given))
    monkeypatch.setattr(torch, "_use_cudnn_rnn_flatten_weight", lambda: True)
    layer = stock_layer(6, 8, 2, dtype, CPU)
    monkeypatch.setattr(rnn, "get_cudnn_mode", lambda kind: f"cuDNN's {kind}")
    flatten_weights(layer)
    assert asked == [], "there is no cuDNN on the CPU"
    monkeypatch.setattr(torch, "cudnn_is_acceptable", lambda sample: sample.dtype == torch.bfloat16)
    flatten_weights(layer)
    expected = [(layer._flat_weights, 4, 6, "cuDNN's LSTM", 8, 0, 2, False, True)]
    assert asked == (expected if dtype == "bfloat16" else [])
