"""Seconds and memory of the frozen encoder as the number of sentences grows."""

import ctypes
import gc
import platform
from collections.abc import Sequence
from functools import partial

import torch

from scripts.benchmarking.batches import gamma_lengths, zipf_sentences
from scripts.benchmarking.encode_shapes import VOCABULARY_SIZE, build_encoder
from scripts.benchmarking.interleave import interleave
from scripts.benchmarking.memory import forget_peak, peak_resident_mib, resident_mib
from scripts.benchmarking.results import LinearRow
from simlstm.models.frozen import FrozenEncoder
from simlstm.rnn.frozen import Precision


def measure_linearity(
    counts: Sequence[int], precisions: Sequence[Precision], *, hidden_size: int, mean_length: float, turns: int = 3
) -> list[LinearRow]:
    """Encode more and more sentences of random tokens, as lists of ids, all distinct or nearly so.

    The counts take turns, so that a drift of the machine bends no line. Memory is read in a turn of its own: the
    resident memory when the sentences are there, and its peak during the call.

    Args:
        counts: Each number of sentences.
        precisions: Of the recurrent weights.
        hidden_size: H.
        mean_length: Of the gamma-distributed lengths.
        turns: Measured turns of each count.
    """
    encoder = build_encoder(hidden_size)
    rows = []
    for precision in precisions:
        frozen = FrozenEncoder.from_encoder(encoder, precision=precision)
        frozen.encode(_sentences(min(counts), mean_length))  # what is made once is made here
        memory = {count: _memory(frozen, count, mean_length) for count in counts}
        sentences = {count: _sentences(count, mean_length) for count in counts}
        calls = {str(count): partial(frozen.encode, sentences[count]) for count in counts}
        timed = interleave(calls, turns=turns, warmup=0, primed=False)
        for count in counts:
            before, peak = memory[count]
            rows.append(
                LinearRow(
                    precision=precision,
                    sentences=count,
                    tokens=sum(map(len, sentences[count])),
                    timing=timed[str(count)].timing(),
                    resident_before_mib=before,
                    resident_peak_mib=peak,
                    result_mib=count * frozen.output_size * 4 / 2**20,
                )
            )
    return rows


def _sentences(count: int, mean_length: float) -> list[list[int]]:
    generator = torch.Generator().manual_seed(count)
    lengths = gamma_lengths(count, mean_length, generator)
    order = torch.randperm(count, generator=generator)  # as a caller has them: in no order
    return zipf_sentences(lengths[order].tolist(), VOCABULARY_SIZE, generator)


def _memory(frozen: FrozenEncoder, count: int, mean_length: float) -> tuple[float | None, float | None]:
    sentences = _sentences(count, mean_length)
    _give_back()
    if not forget_peak():
        return None, None
    before = resident_mib()
    frozen.encode(sentences)
    return before, peak_resident_mib()


def _give_back() -> None:
    """Hand freed memory back to the system, so that what an earlier call left does not hide what this one takes."""
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
