"""What turns seconds into figures: turns, ratios, counted operations, peaks, the machine."""

import mmap
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from scripts.benchmarking.arithmetic import input_operations, layer_operations, recurrent_operations
from scripts.benchmarking.batches import gamma_lengths, turn_lengths, zipf_sentences
from scripts.benchmarking.interleave import Measurement, interleave, median_ratio
from scripts.benchmarking.machine import describe_machine
from scripts.benchmarking.memory import forget_peak, peak_resident_mib, resident_mib
from scripts.benchmarking.optional import MissingPackageError, load_package
from scripts.benchmarking.peak import highest, measure_peaks, onednn_product, peak_of
from simlstm.rnn.backends.native import instruction_set
from simlstm.training.provenance import code_commit

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("primed", "order"), [(False, "abba" * 3), (True, "abba" + "aabbbbaa" * 2)])
def test_candidates_take_turns_in_alternating_order(primed: bool, order: str):
    calls: list[str] = []
    candidates = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    measured = interleave(candidates, turns=4, warmup=2, primed=primed)
    assert "".join(calls) == order
    assert {name: len(measurement.seconds) for name, measurement in measured.items()} == {"a": 4, "b": 4}


def test_one_turn_is_refused():
    with pytest.raises(ValueError, match="turns=1: at least 2"):
        interleave({"a": lambda: None}, turns=1)


def test_ratio_pairs_neighbouring_turns():
    # Both slow down threefold in the middle; the ratio of the paired turns does not move.
    slower, faster = Measurement("slower", [2.0, 6.0, 2.0]), Measurement("faster", [1.0, 3.0, 1.0])
    assert median_ratio(slower, faster) == 2.0
    assert slower.median == 2.0
    assert slower.quartiles == (2.0, 6.0)
    assert slower.per(2).seconds == [1.0, 3.0, 1.0]
    assert slower.timing().model_dump() == {"median_s": 2.0, "quartiles_s": (2.0, 6.0), "turns": 3}


@pytest.mark.parametrize("backward", [False, True])
def test_operations_are_those_that_torch_counts(backward: bool):
    rows, input_size, hidden_size = 7, 5, 3
    x = torch.randn(rows, input_size, requires_grad=True)
    h = torch.randn(rows, hidden_size, requires_grad=True)
    weights = [torch.randn(4 * hidden_size, size, requires_grad=True) for size in (input_size, hidden_size) * 2]
    with FlopCounterMode(display=False) as counter:
        gates = sum((source @ weight.T).sum() for source, weight in zip((x, h, x, h), weights, strict=True))
        if backward:
            gates.backward()
    assert counter.get_total_flops() == layer_operations(
        rows, input_size=input_size, hidden_size=hidden_size, backward=backward
    )


def test_operations_of_one_direction_are_half():
    assert input_operations(7, input_size=5, hidden_size=3, directions=1) == 2 * 7 * 5 * 12
    assert recurrent_operations(7, hidden_size=3, directions=1) == 2 * 7 * 3 * 12
    assert recurrent_operations(7, hidden_size=3) == 2 * 2 * 3 * 4 * 3 * 7


def test_peaks_are_of_products_that_are_right():
    a, b = torch.randn(33, 65, dtype=torch.float64), torch.randn(65, 17, dtype=torch.float64)
    # A library that rounded to bf16 or TF32 on the way would be off by 1e-2 or 1e-3.
    torch.testing.assert_close(onednn_product(a.float(), b.float()).double(), a @ b, rtol=1e-5, atol=1e-5)
    peaks = measure_peaks(size=64, repetitions=1)
    assert {name.split()[0] for name in peaks} == {"float32", "bfloat16"}
    assert all(rate > 0 for rate in peaks.values())


def test_the_peak_is_the_highest_of_its_dtype():
    peaks = {"float32 (MKL)": 100.0, "float32 (oneDNN)": 200.0, "bfloat16 (oneDNN)": 400.0}
    assert peak_of(peaks, "float32") == 200.0
    assert peak_of(peaks, "bfloat16") == 400.0
    with pytest.raises(KeyError, match="no peak of int8"):
        peak_of(peaks, "int8")
    assert highest({"a": 1.0, "b": 4.0}, {"a": 2.0, "b": 3.0}) == {"a": 2.0, "b": 4.0}


def test_lengths_have_the_asked_mean_and_stand_longest_first():
    lengths = gamma_lengths(20_000, 12.0, torch.Generator().manual_seed(0))
    assert abs(lengths.float().mean() - 12) < 0.2
    assert lengths.min() >= 1
    assert torch.equal(lengths, lengths.sort(descending=True).values)


def test_single_sentences_come_by_eights_and_stand_for_the_distribution():
    single = turn_lengths(1, 12.0)
    assert [len(lengths) for lengths in single] == [1] * 8
    assert abs(torch.cat(single).float().mean() - 12) < 0.5
    assert len(set(torch.cat(single).tolist())) == 8
    (batch,) = turn_lengths(32, 12.0)
    assert len(batch) == 32


def test_tokens_follow_zipf():
    sentences = zipf_sentences([3, 1, 20_000], 50, torch.Generator().manual_seed(0))
    assert list(map(len, sentences)) == [3, 1, 20_000]
    counts = torch.bincount(torch.tensor(sentences[2]), minlength=50).sort(descending=True).values
    assert len(counts) == 50, "ids lie within the vocabulary"
    assert 1.8 < counts[0] / counts[1] < 2.2, "the first is twice as frequent as the second"


def test_machine_names_what_a_figure_depends_on():
    described = describe_machine()
    assert described.packages["torch"] == torch.__version__
    assert described.threads == torch.get_num_threads()
    assert described.processor
    assert described.native_backend == instruction_set()
    assert described.commit == code_commit(), "with +changes when the code was edited"
    assert ("avx2" in described.instruction_sets) == (torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512"))


def test_peak_memory_is_that_of_the_call():
    if resident_mib() is None or not forget_peak():
        pytest.skip("this system does not say how much memory is resident")
    before = resident_mib()
    with mmap.mmap(-1, 32 * 2**20) as pages:  # not torch's allocator, which may hold freed memory already
        pages.write(b"x" * 4096 * 8192)
    assert peak_resident_mib() - before > 24
    forget_peak()
    assert peak_resident_mib() - resident_mib() < 24


def test_a_missing_package_names_the_extra():
    with pytest.raises(MissingPackageError, match=r'a peer: the package \'nowhere_to_be_found\' .*"simlstm\[bench\]"'):
        load_package("nowhere_to_be_found", purpose="a peer")


def test_layer_figures_need_no_training_or_peer_package():
    code = """
import sys
from scripts.benchmarking import machine, rnn
machine.describe_machine()
print(*sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    unwanted = {"sklearn", "scipy", "tensorboard", "jieba", "pyarrow", "onnxruntime", "matplotlib", "transformers"}
    assert not unwanted & set(said.stdout.split())
