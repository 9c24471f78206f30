"""What turns a GPU's seconds into figures: turns, operations, bytes, the roofline, parity, inputs, candidates."""

import itertools
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.backends.cudnn import rnn

from scripts.benchmarking.cuda import cudnn_use, gpu
from scripts.benchmarking.cuda.accelerator import CudaAccelerator, HostAccelerator
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
from scripts.benchmarking.cuda.ceilings import CeilingProbe
from scripts.benchmarking.cuda.dtypes import DTYPES, peer_dtypes, tf32
from scripts.benchmarking.cuda.encode import encode_figures
from scripts.benchmarking.cuda.flat_weights import flatten_weights
from scripts.benchmarking.cuda.inputs import Lengths, in_dtype, input_sets, random_batches
from scripts.benchmarking.cuda.layer_plan import Shape
from scripts.benchmarking.cuda.layer_shape import layer_row
from scripts.benchmarking.cuda.norms import ParityError, check_norms, relative_norm
from scripts.benchmarking.cuda.records import Ceilings
from scripts.benchmarking.cuda.transformer import MiniLmShape, PaddedSentences
from scripts.benchmarking.cuda.turns import Turns, take_turns
from scripts.benchmarking.cuda.work import LayerWork, least_bytes, operations, roofline_seconds
from scripts.benchmarking.interleave import Measurement

CPU = torch.device("cpu")


def test_turns_last_as_long_as_asked_and_candidates_alternate():
    now = itertools.count()
    accelerator = HostAccelerator(clock=lambda: next(now))  # every reading is a second later
    calls: list[tuple[str, int]] = []
    candidates = {name: lambda number, name=name: calls.append((name, number)) for name in "ab"}
    taken = take_turns(accelerator, candidates, turns=2, turn_seconds=1.0)
    # A turn of three calls takes a second, so three make it up.
    assert [turns.calls for turns in taken.values()] == [3, 3]
    warmup = [(name, number) for name in "ab" for number in (0, 1, 2, 3, 4, 5)]
    measured = [("a", 0, 1, 2, 3), ("b", 0, 1, 2, 3), ("b", 3, 4, 5, 6), ("a", 3, 4, 5, 6)]
    assert calls == warmup + [(name, number) for name, *numbers in measured for number in numbers]
    assert taken["a"].device.seconds == taken["a"].host.seconds == [1 / 3, 1 / 3]
    timing = taken["a"].timing()
    assert (timing.device.median_s, timing.host_s, timing.calls, timing.device.turns) == (1 / 3, 1 / 3, 3, 2)


def test_a_long_call_runs_alone():
    now = itertools.count()
    accelerator = HostAccelerator(clock=lambda: next(now))
    calls: list[int] = []
    taken = take_turns(accelerator, {"a": calls.append}, turns=2, turn_seconds=0.03)
    assert taken["a"].calls == 1
    assert calls == [0, 1, 2, 3, 4, 5, 1, 2], "two to warm up, four to estimate, and one a turn"
    calls.clear()
    take_turns(accelerator, {"a": calls.append}, turns=2, turn_seconds=0.04)
    assert calls == [0, 1, 2, 3, 4, 5, 0, 1, 1, 2], "in a third of a second, a launch counts: it is queued behind one"


def test_nothing_is_waited_for_between_the_untimed_call_and_the_first_mark(monkeypatch: pytest.MonkeyPatch):
    """What the device does of ``CudaAccelerator.time``, without one."""
    done: list[object] = []

    class Event:
        def __init__(self, **_: object) -> None: ...

        def record(self) -> None:
            done.append("mark")

        def synchronize(self) -> None:
            done.append("wait for the mark")

        def elapsed_time(self, _: object) -> float:
            return 6.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: done.append("wait"))
    accelerator = object.__new__(CudaAccelerator)
    accelerator.device = CPU
    turn = accelerator.time(done.append, 7, 2)
    assert done == ["wait", 7, "mark", 8, 9, "mark", "wait for the mark"]
    assert turn.device_s == pytest.approx(3e-3)
    assert 0 < turn.host_s < 1
    done.clear()
    accelerator.time(done.append, 7, 1, primed=False)
    assert done == ["wait", "mark", 8, "mark", "wait for the mark"]


def test_short_calls_are_not_repeated_without_end_and_one_turn_is_refused():
    accelerator = HostAccelerator(clock=lambda: 0.0)
    assert take_turns(accelerator, {"a": lambda _: None}, turns=2)["a"].calls == 500
    with pytest.raises(ValueError, match="turns=1: at least 2"):
        take_turns(accelerator, {"a": lambda _: None}, turns=1)


def test_operations_of_a_stack_counted_by_hand():
    # 10 tokens, I=3, H=2: a direction of the first layer multiplies 8 by 3 and 8 by 2, one of the second 8 by 4 and 2.
    work = LayerWork(rows=10, batch=4, input_size=3, hidden_size=2, num_layers=2)
    assert work.input_sizes == [3, 4]
    forward = 2 * 2 * 10 * (8 * 3 + 8 * 2) + 2 * 2 * 10 * (8 * 4 + 8 * 2)
    assert operations(work, backward=False) == forward
    assert operations(work, backward=True) == 3 * forward


def test_bytes_counted_by_hand():
    work = LayerWork(rows=10, batch=4, input_size=3, hidden_size=2, num_layers=1)
    x, y, states = 30, 40, 2 * 2 * 4 * 2
    parameters = 2 * (8 * 3 + 8 * 2 + 8 + 8)
    assert least_bytes(work, itemsize=2, backward=False) == 2 * (x + y + states + parameters)
    kept = 10 * 2 * (4 * 2 + 2)  # four gates and a cell of two units, two directions
    forward = x + y + states + parameters + kept
    backward = kept + x + y + y + parameters + x + parameters
    assert least_bytes(work, itemsize=4, backward=True) == 4 * (forward + backward)
    stacked = LayerWork(rows=10, batch=4, input_size=3, hidden_size=2, num_layers=2)
    second = LayerWork(rows=10, batch=4, input_size=4, hidden_size=2, num_layers=1)
    assert least_bytes(stacked, itemsize=2, backward=True) == sum(
        least_bytes(layer, itemsize=2, backward=True) for layer in (work, second)
    )


def test_the_roofline_is_the_larger_of_both_times():
    ceilings = Ceilings(tflops={"bfloat16": 800.0, "float16": 400.0}, gbytes=4000.0)
    assert roofline_seconds(8 * 10**11, 4 * 10**8, ceilings, "bfloat16") == pytest.approx(1e-3)
    assert roofline_seconds(8 * 10**11, 4 * 10**8, ceilings, "float16") == pytest.approx(2e-3)
    assert roofline_seconds(8 * 10**11, 12 * 10**9, ceilings, "bfloat16") == pytest.approx(3e-3)


def test_ceilings_count_operations_and_bytes_in_both_directions():
    now = itertools.count()
    accelerator = HostAccelerator(clock=lambda: next(now))  # three calls a second
    probe = CeilingProbe(accelerator, ["bfloat16", "float32"], size=16, copy_bytes=4096)
    ceilings = probe.measure(repetitions=3)
    assert ceilings.gbytes == pytest.approx(3 * 2e-9 * 4096)
    assert ceilings.tflops == pytest.approx(dict.fromkeys(["bfloat16", "float32"], 3 * 2e-12 * 16**3))


def test_products_take_tf32_only_inside():
    before = torch.get_float32_matmul_precision()
    with tf32():
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before


def test_a_peer_takes_part_in_every_dtype_of_two_bytes():
    assert peer_dtypes("bfloat16") == peer_dtypes("float16") == ["bfloat16", "float16"]
    assert peer_dtypes("float32") == ["float32"]


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


def test_a_driver_is_named_or_not_known(monkeypatch: pytest.MonkeyPatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 580.1.2\necho 580.1.2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.driver_version() == "580.1.2"
    program.write_text("#!/bin/sh\nexit 9\n")
    assert gpu.driver_version() is None
    program.write_text("#!/bin/sh\n")
    assert gpu.driver_version() is None
    program.unlink()
    assert gpu.driver_version() is None


def test_triton_is_optional(monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> str:
        raise gpu.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(gpu.importlib.metadata, "version", missing)
    assert gpu.triton_version() is None


def test_layer_and_encoder_on_a_gpu_need_no_training_or_peer_package():
    code = """
import sys
from scripts.benchmarking.cuda import command, encode, rnn
from scripts.benchmarking.machine import describe_machine
describe_machine()
print(*sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unwanted = {"sklearn", "scipy", "tensorboard", "jieba", "pyarrow", "onnxruntime", "matplotlib", "transformers"}
    assert not unwanted & set(said.stdout.split())


def prescribed(name: str, *seconds: float) -> Turns:
    return Turns(Measurement(name, list(seconds)), Measurement(name, [second / 2 for second in seconds]), calls=3)


def test_a_row_says_how_many_times_faster_than_the_fastest_peer_ours_is():
    drawn = Lengths.drawn(4, 5.0)
    taken = {
        "simlstm": prescribed("simlstm", 1.0, 2.0, 1.0),
        "torch packed bfloat16": prescribed("a", 6.0, 12.0, 6.0),
        "torch packed float16": prescribed("b", 4.0, 8.0, 4.0),
        "torch padded bfloat16": prescribed("c", 3.0, 6.0, 3.5),
        "simlstm CUDA graph": prescribed("d", 0.5, 1.0, 0.5),
    }
    work = LayerWork(drawn.rows, 4, 6, 8, 1)
    row = layer_row(
        Shape(8, 4, 1, 5.0), "forward+backward", drawn, work, Ceilings(tflops={"bfloat16": 1e-9}, gbytes=1.0), taken,
        dict.fromkeys(taken, 1e-3), dict.fromkeys(taken, 3 * 2**20) | {"torch packed float16": None},
        dtype="bfloat16", sets=5, by_cudnn=1,
    )  # fmt: skip
    assert row.over == {"packed": 4.0, "padded": 3.0, "best": 3.0}
    assert row.fastest == {
        "packed": "torch packed float16", "padded": "torch padded bfloat16", "best": "torch padded bfloat16",
    }  # fmt: skip
    assert {name: figure.ratio for name, figure in row.figures.items()} == {
        "simlstm": 1.0, "torch packed bfloat16": 6.0, "torch packed float16": 4.0, "torch padded bfloat16": 3.0,
        "simlstm CUDA graph": 0.5,
    }  # fmt: skip
    ours = row.figures["simlstm"]
    assert (ours.timing.host_s, ours.timing.calls, ours.peak_mib, row.input_sets) == (0.5, 3, 3.0, 5)
    assert row.figures["torch packed float16"].peak_mib is None
    assert row.by_cudnn == 1
    assert row.operations == operations(work, backward=True)
    assert row.least_bytes == least_bytes(work, itemsize=2, backward=True)
    assert row.roofline_s == pytest.approx(row.operations / 1e3)
    assert ours.roofline_share == pytest.approx(row.roofline_s / 1.0)
    assert Shape.of(row) == Shape(8, 4, 1, 5.0)


def test_layers_that_ours_hands_on_are_counted(monkeypatch: pytest.MonkeyPatch):
    handed: list[tuple[int, ...]] = []
    monkeypatch.setattr(cudnn_use.stock, "lstm_layer", lambda *given: handed.append(given))
    operator = cudnn_use.stock.lstm_layer
    assert cudnn_use.layers_by_cudnn(lambda: [cudnn_use.stock.lstm_layer(1, 2), cudnn_use.stock.lstm_layer(3)]) == 2
    assert handed == [(1, 2), (3,)]
    with pytest.raises(ZeroDivisionError):
        cudnn_use.layers_by_cudnn(lambda: 1 // 0)
    assert cudnn_use.stock.lstm_layer is operator
    assert cudnn_use.layers_by_cudnn(lambda: None) == 0


def test_plans_are_those_of_the_device(monkeypatch: pytest.MonkeyPatch, tmp_path):
    pytest.importorskip("triton")
    from simlstm.rnn.backends.cuda import notebook

    monkeypatch.setenv(notebook.FOLDER, str(tmp_path))
    monkeypatch.setattr(notebook, "kind_of", lambda device: f"Abacus on {device}")
    device = torch.device("cuda", 0)
    notebook.add(device, "cuDNN is faster: hidden_size=512", True)
    notebook.add(device, "hidden_size=128", {"rows": 16})
    assert cudnn_use.measured_plans(device) == {
        "cuDNN is faster: hidden_size=512": True,
        "hidden_size=128": {"rows": 16},
    }
    assert cudnn_use.measured_plans(CPU) == {}


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


def test_an_encoders_ratio_is_that_of_the_frozen_one():
    taken = {"simlstm frozen": prescribed("a", 1.0, 3.0, 2.0), "torch float16": prescribed("b", 4.0, 12.0, 8.0)}
    figures = encode_figures(taken, dict.fromkeys(taken, 0.9999), 64)
    assert {name: figure.ratio for name, figure in figures.items()} == {"simlstm frozen": 1.0, "torch float16": 4.0}
    assert [figure.sentences_per_second for figure in figures.values()] == [32.0, 8.0]
