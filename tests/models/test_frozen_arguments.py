"""What a frozen encoder takes, what it refuses before a kernel sees it, and what it is as an object."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import PackedSequence

from simlstm.data.batching import pack
from simlstm.models.frozen import FrozenEncoder
from simlstm.rnn.backends.cuda import presence
from simlstm.rnn.frozen import default_precision, freeze_layer
from tests.models.frozen_cases import BACKENDS, TOLERANCE, build, sentences

IDS = sentences(20)


def packed(ids, batch_sizes):
    return PackedSequence(ids, torch.tensor(batch_sizes, dtype=torch.int64))


@pytest.mark.parametrize(
    ("ids", "batch_sizes", "message"),
    [
        (torch.tensor([1, 2, 3]), [2, 2], r"got \[2, 2\] for 3 ids"),
        (torch.tensor([1, 2, 3]), [1, 1], r"got \[1, 1\] for 3 ids"),
        (torch.tensor([1, 2, 3]), [1, 2], r"got \[1, 2\] for 3 ids"),
        (torch.tensor([1, 2, 3]), [2, 1, 0], r"got \[2, 1, 0\] for 3 ids"),
        (torch.tensor([1] * 6), [1000, 1000, -1994], r"got \[1000, 1000, -1994\] for 6 ids"),
        (torch.tensor([], dtype=torch.int64), [], r"got \[\] for 0 ids"),
        (torch.tensor([1.7]), [1], r"int64 or int32 ids \[N\] on the CPU, got torch.float32 \[1\] on cpu"),
        (torch.tensor([[1]]), [1], r"got torch.int64 \[1, 1\] on cpu"),
        (torch.tensor([1], device="meta"), [1], r"got torch.int64 \[1\] on meta"),
        (torch.tensor([50]), [1], r"ids in 0\.\.49, got 50\.\.50"),
    ],
)
def test_batches_that_are_none_are_refused(ids, batch_sizes, message):
    frozen = FrozenEncoder.from_encoder(build())
    with pytest.raises(ValueError, match=message):
        frozen(packed(ids, batch_sizes))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("table_bytes", [2**30, 0])
def test_ids_may_be_int32(backend, table_bytes):
    frozen = FrozenEncoder.from_encoder(build(), backend=backend, table_bytes=table_bytes)
    tokens = pack(IDS)
    assert torch.equal(frozen(tokens._replace(data=tokens.data.int())), frozen(tokens))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("default", [torch.float64, torch.float16])
@pytest.mark.parametrize("settings", [{}, {"pooling": "last", "projection_size": 4}, {"pooling": "attention"}], ids=str)
def test_results_are_float32_whatever_torch_makes_by_default(backend, default, settings):
    encoder = build(num_layers=2, normalize=True, **settings)
    expected = encoder(pack(IDS)).detach()
    torch.set_default_dtype(default)
    try:
        for precision, tolerance in TOLERANCE.items():
            frozen = FrozenEncoder.from_encoder(encoder, precision=precision, backend=backend)
            for result in (frozen(pack(IDS)), frozen.encode(IDS)):
                # Scaled to length 1, values of 0.02 become some of 0.3, and their errors with them.
                torch.testing.assert_close(result, expected, rtol=0, atol=20 * tolerance)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_results_are_on_the_cpu_wherever_torch_puts_tensors_by_default(backend, pooling):
    encoder = build(pooling=pooling, num_layers=2)
    expected = FrozenEncoder.from_encoder(encoder, backend=backend).encode(IDS)
    with torch.device("meta"):
        assert torch.equal(FrozenEncoder.from_encoder(encoder, backend=backend).encode(IDS), expected)


def test_a_backend_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="backend must be native or torch, got 'banana'"):
        FrozenEncoder.from_encoder(build(), backend="banana")
    with pytest.raises(ValueError, match="backend must be native or torch, got ''"):
        freeze_layer([torch.zeros(4, 1)], "float32", "")


@pytest.mark.skipif(presence.is_interpreted(), reason="under Triton's interpreter, the cuda backend takes CPU tensors")
def test_the_backend_of_another_device_is_refused():
    with pytest.raises(ValueError, match="backend must be native or torch, got 'cuda' for weights on cpu"):
        FrozenEncoder.from_encoder(build(), backend="cuda")


def test_the_default_precision_is_that_of_the_device():
    assert FrozenEncoder.from_encoder(build()).precision == "float32"
    assert default_precision(torch.device("cpu")) == "float32"
    assert default_precision(torch.device("cuda", 1)) == "bfloat16"


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_is_the_same_encoder(duplicate):
    frozen = FrozenEncoder.from_encoder(build())
    assert duplicate(frozen) is frozen
    assert duplicate([frozen])[0] is frozen


def test_a_pickle_is_refused_with_what_to_do_instead():
    with pytest.raises(TypeError, match="pickle the SentenceEncoder"):
        pickle.dumps(FrozenEncoder.from_encoder(build()))


def test_what_is_shown_of_it_are_its_attributes():
    assert repr(FrozenEncoder.from_encoder(build(), precision="int8", backend="torch")) == (
        "FrozenEncoder(precision='int8', backend='torch', output_size=18, vocabulary_size=50)"
    )


def test_ids_of_any_integer_type_are_taken():
    frozen = FrozenEncoder.from_encoder(build())
    expected = frozen.encode([[1, 2], [1, 0]])
    for ids in (np.array([[1, 2], [1, 0]]), torch.tensor([[1, 2], [1, 0]]), [[True, np.uint8(2)], (1, False)]):
        assert torch.equal(frozen.encode(ids), expected)
