"""What turns a GPU's seconds into figures: turns, operations, bytes, ceilings, the roofline, ratios."""

import itertools

import pytest
import torch

from scripts.benchmarking.cuda.accelerator import CudaAccelerator, HostAccelerator
from scripts.benchmarking.cuda.ceilings import CeilingProbe
from scripts.benchmarking.cuda.dtypes import peer_dtypes, tf32
from scripts.benchmarking.cuda.encode import encode_figures
from scripts.benchmarking.cuda.inputs import Lengths
from scripts.benchmarking.cuda.layer_plan import Shape
from scripts.benchmarking.cuda.layer_shape import layer_row
from scripts.benchmarking.cuda.records import Ceilings
from scripts.benchmarking.cuda.turns import Turns, take_turns
from scripts.benchmarking.cuda.work import LayerWork, least_bytes, operations, roofline_seconds
from scripts.benchmarking.interleave import Measurement


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
    accelerator.device = torch.device("cpu")
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


def test_an_encoders_ratio_is_that_of_the_frozen_one():
    taken = {"simlstm frozen": prescribed("a", 1.0, 3.0, 2.0), "torch float16": prescribed("b", 4.0, 12.0, 8.0)}
    figures = encode_figures(taken, dict.fromkeys(taken, 0.9999), 64)
    assert {name: figure.ratio for name, figure in figures.items()} == {"simlstm frozen": 1.0, "torch float16": 4.0}
    assert [figure.sentences_per_second for figure in figures.values()] == [32.0, 8.0]
