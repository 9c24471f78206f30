"""The kernels on a GPU: parity with float64, memory, determinism, long sequences, large batches."""

import pytest
import torch

from simlstm.rnn.backends.cuda.plan import Chip, Problem, candidates
from tests.cuda.cases import LENGTHS, TOLERANCES
from tests.cuda.checks import (
    ARITHMETICS,
    case_on,
    check_alone_and_together,
    check_determinism,
    check_parity,
    check_poisoned,
)

pytest.importorskip("triton")
RAGGED = [13, 13, 9, 9, 9, 4, 2, 1, 1, 1]


@pytest.fixture(autouse=True)
def _untuned(monkeypatch):
    """Take the first plan: measuring compiles several."""
    monkeypatch.setenv("SIMLSTM_CUDA_TUNING", "off")


@pytest.mark.parametrize("arithmetic", list(ARITHMETICS))
@pytest.mark.parametrize("hidden_size", [1, 20, 100, 128, 300, 512])
def test_parity(hidden_size, arithmetic, monkeypatch):
    check_parity(case_on("cuda", arithmetic, monkeypatch, RAGGED, 7, hidden_size), arithmetic)


@pytest.mark.parametrize("arithmetic", ["bfloat16", "tf32", "float32"])
@pytest.mark.parametrize("hidden_size", [1024, 1500])
def test_parity_of_large_layers(hidden_size, arithmetic, monkeypatch):
    """1500 units in TF32 or 16 bits do not fit onto the chip at once: each step is a launch."""
    check_parity(case_on("cuda", arithmetic, monkeypatch, [5, 4, 1], 33, hidden_size), arithmetic)


@pytest.mark.parametrize("hidden_size", [20, 128, 256])
@pytest.mark.parametrize("lengths", list(LENGTHS.values()), ids=list(LENGTHS))
def test_parity_of_every_shape_of_batch(lengths, hidden_size, monkeypatch):
    check_parity(case_on("cuda", "bfloat16", monkeypatch, lengths, 7, hidden_size), "bfloat16")


@pytest.mark.parametrize("hidden_size", [20, 256])
@pytest.mark.parametrize("kind", [{"directions": 1}, {"bias": False}, {"states": False}], ids=str)
def test_parity_without_what_may_be_absent(kind, hidden_size, monkeypatch):
    check_parity(case_on("cuda", "tf32", monkeypatch, RAGGED, 7, hidden_size, **kind), "tf32")


@pytest.mark.parametrize("hidden_size", [20, 256])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", [[2, 7, 0, 1, 4], [0, 0], [3, 0] * 40], ids=["unsorted", "no step", "many"])
def test_parity_with_lengths_on_the_device(lengths, batch_first, hidden_size, monkeypatch):
    kind = {"padded": True, "batch_first": batch_first}
    check_parity(case_on("cuda", "bfloat16", monkeypatch, lengths, 7, hidden_size, **kind), "bfloat16")


def _problem(hidden_size, sequences, *, backward):
    return Problem(hidden_size, 2, sequences, torch.bfloat16, "ieee", backward=backward, keeps=not backward)


@pytest.mark.parametrize("hidden_size", [64, 128, 256, 512])
@pytest.mark.parametrize("sequences", [70, 2100])
def test_parity_of_every_plan(hidden_size, sequences, monkeypatch):
    """Forward and backward plans are tried in pairs; several blocks to a group with the larger batch."""
    from simlstm.rnn.backends.cuda import lstm

    chip = Chip(torch.cuda.get_device_properties(0).multi_processor_count)
    lengths = [6] * 3 + [4] * (sequences // 2)
    case = case_on("cuda", "bfloat16", monkeypatch, lengths + [1] * (sequences - len(lengths)), 7, hidden_size)
    forward, backward = (candidates(_problem(hidden_size, sequences, backward=b), chip) for b in (False, True))
    for place in range(max(len(forward), len(backward))):
        plans = forward[place % len(forward)], backward[place % len(backward)]
        monkeypatch.setattr(lstm, "plan_for", lambda problem, device, plans=plans: plans[problem.backward])
        check_parity(case, "bfloat16")


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("hidden_size", [20, 256])
def test_fresh_memory_is_not_believed(hidden_size, padded, monkeypatch):
    lengths = [0, 7, 3, 1] if padded else RAGGED
    check_poisoned(case_on("cuda", "bfloat16", monkeypatch, lengths, 7, hidden_size, padded=padded), monkeypatch)


@pytest.mark.parametrize("arithmetic", ["bfloat16", "tf32", "float32"])
@pytest.mark.parametrize("hidden_size", [128, 256, 512])
def test_twenty_runs_give_the_same_bits(hidden_size, arithmetic, monkeypatch):
    lengths = [9] * 100 + [5] * 100 + [2] * 100
    check_determinism(case_on("cuda", arithmetic, monkeypatch, lengths, 33, hidden_size), 20)


@pytest.mark.parametrize("hidden_size", [64, 256])
def test_ten_thousand_steps(hidden_size, monkeypatch):
    """What was forgotten keeps no rounding: the tolerance is that of short sequences."""
    case = case_on("cuda", "float32", monkeypatch, [10_000, 17, 1], 3, hidden_size, directions=1)
    check_parity(case, "float32")


def test_sixty_five_thousand_sequences(monkeypatch):
    lengths = [3] * 10_000 + [2] * 30_000 + [1] * 25_536
    check_parity(case_on("cuda", "bfloat16", monkeypatch, lengths, 5, 32), "bfloat16")


@pytest.mark.parametrize(("sequences", "hidden_size"), [(65_536, 512), (65_535, 128)])
def test_more_elements_than_32_bits_count(sequences, hidden_size, monkeypatch):
    """The last sequences of a batch give what they give alone: no address is cut to 32 bits."""
    steps = 2**31 // (sequences * 2 * 4 * hidden_size) + 2
    if torch.cuda.get_device_properties(0).total_memory < 40 * 2**30:
        pytest.skip("needs a GPU with 40 GiB of memory")
    lengths = [steps] * sequences
    case = case_on("cuda", "bfloat16", monkeypatch, lengths, 3, hidden_size)
    which = [0, sequences // 2, sequences - 1]
    check_alone_and_together(case, lengths, which, TOLERANCES["bfloat16"])
