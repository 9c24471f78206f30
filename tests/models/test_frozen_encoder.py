"""FrozenEncoder: the live encoder's vectors, from folded gates and fused poolings, in every shape it comes in."""

import copy
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence
from torch.utils._python_dispatch import TorchDispatchMode

from simlstm.data.batching import pack
from simlstm.models import batches, folded
from simlstm.models.frozen import FrozenEncoder
from simlstm.models.pooling import POOLINGS
from simlstm.rnn.frozen import PRECISIONS
from tests.models.frozen_cases import BACKENDS, TOLERANCE, VOCABULARY, build, sentences

IDS = sentences(40)
SHAPES = [
    {},
    {"bidirectional": False},
    {"num_layers": 2},
    {"num_layers": 3, "bidirectional": False, "dropout": 0.5},
    {"projection_size": 5, "normalize": True},
    {"hidden_size": 16, "embedding_size": 3},
    {"hidden_size": 33},
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_vectors_are_those_of_the_live_encoder(backend, precision, shape, pooling):
    encoder = build(pooling=pooling, **shape)
    frozen = FrozenEncoder.from_encoder(encoder, precision=precision, backend=backend)
    assert (frozen.precision, frozen.backend) == (precision, backend)
    assert (frozen.output_size, frozen.vocabulary_size) == (encoder.output_size, VOCABULARY)
    expected = encoder(pack(IDS)).detach()
    result = frozen(pack(IDS))
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, expected, rtol=0, atol=TOLERANCE[precision])
    torch.testing.assert_close(frozen.encode(IDS, batch_size=7), expected, rtol=0, atol=TOLERANCE[precision])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_lower_precision_is_lower(backend, precision):
    encoder = build()
    exact = encoder(pack(IDS)).detach()
    error = (FrozenEncoder.from_encoder(encoder, precision=precision, backend=backend)(pack(IDS)) - exact).abs().max()
    assert (error > 1e-4) == (precision != "float32")


@pytest.mark.parametrize("backend", BACKENDS)
def test_biases_may_be_missing(backend):
    encoder = build(num_layers=2)
    encoder.recurrent = type(encoder.recurrent)(13, 9, num_layers=2, bidirectional=True, bias=False)
    frozen = FrozenEncoder.from_encoder(encoder, backend=backend)
    torch.testing.assert_close(frozen(pack(IDS)), encoder(pack(IDS)).detach(), rtol=0, atol=TOLERANCE["float32"])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", [{}, {"num_layers": 2, "pooling": "attention"}], ids=str)
def test_a_table_that_is_too_large_is_not_made(monkeypatch, backend, precision, shape):
    encoder = build(**shape)
    options = {"precision": precision, "backend": backend}
    with_table = FrozenEncoder.from_encoder(encoder, **options).encode(IDS)
    rows_folded = []
    fold = folded.FoldedLayer.fold

    def counting(layer, rows):
        rows_folded.append(len(rows))
        return fold(layer, rows)

    monkeypatch.setattr(folded.FoldedLayer, "fold", counting)
    without = FrozenEncoder.from_encoder(encoder, **options, table_bytes=1000)
    assert max(rows_folded) < VOCABULARY
    # Another number of rows in the product that folds: float32 rounding, which bfloat16 can turn into one of its steps.
    tolerance = 1e-6 if precision == "float32" else TOLERANCE[precision]
    torch.testing.assert_close(without.encode(IDS), with_table, rtol=0, atol=tolerance)


def test_a_large_vocabulary_is_folded_in_parts(monkeypatch):
    encoder = build()
    expected = FrozenEncoder.from_encoder(encoder)(pack(IDS))
    monkeypatch.setattr(folded, "_ROWS_FOLDED_AT_ONCE", 7)
    torch.testing.assert_close(FrozenEncoder.from_encoder(encoder)(pack(IDS)), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_nothing_is_shared_with_the_encoder(pooling):
    encoder = build(pooling=pooling, projection_size=4)
    for table_bytes in (2**30, 0):
        frozen = FrozenEncoder.from_encoder(encoder, table_bytes=table_bytes)
        before = frozen(pack(IDS))
        kept = copy.deepcopy(encoder.state_dict())
        with torch.no_grad():
            for parameter in encoder.parameters():
                parameter.fill_(0.3)
        assert torch.equal(frozen(pack(IDS)), before)
        encoder.load_state_dict(kept)


def test_the_mode_of_the_encoder_does_not_matter():
    encoder = build(word_dropout=0.5, embedding_dropout=0.5, num_layers=2, dropout=0.5)
    expected = FrozenEncoder.from_encoder(encoder)(pack(IDS))
    frozen = FrozenEncoder.from_encoder(encoder.train())
    assert encoder.training
    assert torch.equal(frozen(pack(IDS)), expected)


@pytest.mark.parametrize("shape", [{}, {"pooling": "attention", "projection_size": 4, "num_layers": 2}], ids=str)
def test_results_carry_no_graph_and_can_be_trained_on(shape):
    encoder = build(**shape)
    with torch.inference_mode():  # the server builds and computes inside of it
        frozen = FrozenEncoder.from_encoder(encoder)
    embeddings = frozen(pack(IDS))
    assert not embeddings.requires_grad
    head = nn.Linear(frozen.output_size, 1)
    head(embeddings).sum().backward()
    head(frozen.encode(IDS)).sum().backward()
    assert head.weight.grad is not None


@pytest.mark.parametrize("shape", [{}, {"pooling": "attention", "projection_size": 4, "num_layers": 2}], ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_autocast_does_not_touch_it(backend, shape):
    encoder = build(**shape)
    frozen = FrozenEncoder.from_encoder(encoder, backend=backend)
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = FrozenEncoder.from_encoder(encoder, backend=backend)(pack(IDS))
        assert torch.equal(frozen(pack(IDS)), under_autocast)
    assert torch.equal(frozen(pack(IDS)), under_autocast)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_batches_of_every_form(backend, precision):
    encoder = build()
    frozen = FrozenEncoder.from_encoder(encoder, precision=precision, backend=backend)
    assert frozen.encode([]).shape == (0, frozen.output_size)
    for ids in ([[5]], [[5, 6, 7]], [[1], [2], [3]], [[1, 2], [3, 4]], [[4] * 300, [1]]):
        expected = encoder(pack(ids)).detach()
        tensors = [torch.tensor(sentence) for sentence in ids]
        for tokens in (pack(ids), pack_sequence(tensors)):  # the second one has no permutation
            torch.testing.assert_close(frozen(tokens), expected, rtol=0, atol=TOLERANCE[precision])


def test_ids_need_not_be_contiguous():
    tokens = pack(IDS)
    spread = torch.stack([tokens.data, tokens.data], dim=1)[:, 0]
    assert not spread.is_contiguous()
    frozen = FrozenEncoder.from_encoder(build())
    assert torch.equal(frozen(PackedSequence(spread, *tokens[1:])), frozen(tokens))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ids=st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=9), min_size=1, max_size=12),
    batch_size=st.integers(1, 13),
)
def test_any_sentences_in_any_batches(ids, batch_size):
    encoder = build()
    expected = encoder(pack(ids)).detach()
    encoded = FrozenEncoder.from_encoder(encoder).encode(ids, batch_size=batch_size)
    torch.testing.assert_close(encoded, expected, rtol=0, atol=TOLERANCE["float32"])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_ten_thousand_tokens(backend, pooling):
    encoder = build(pooling=pooling)
    long = [random.Random(0).choices(range(VOCABULARY), k=10_000)]
    frozen = FrozenEncoder.from_encoder(encoder, backend=backend)
    # A mean over 10,000 tokens gathers their roundings: sqrt(10,000) * 6e-8 at most.
    torch.testing.assert_close(frozen.encode(long), encoder(pack(long)).detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS[1:])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("pooling", ["max", "mean", "mean_max", "last"])
@pytest.mark.parametrize("shape", [{}, {"bidirectional": False}, {"num_layers": 2, "normalize": True}], ids=str)
@pytest.mark.parametrize("table_bytes", [2**30, 0])
def test_the_kernel_gives_a_sentence_the_same_bits_in_every_batch(backend, precision, pooling, shape, table_bytes):
    ids = sentences(100, longest=30)
    encoder = build(pooling=pooling, hidden_size=40, embedding_size=30, **shape)
    frozen = FrozenEncoder.from_encoder(encoder, precision=precision, backend=backend, table_bytes=table_bytes)
    expected = frozen.encode(ids)
    for batch_size in (1, 3, 64):
        assert torch.equal(frozen.encode(ids, batch_size=batch_size), expected)
    assert torch.equal(torch.cat([frozen(pack([sentence])) for sentence in ids]), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_projection_and_attention_round_as_their_batch_has_it(backend):
    ids = sentences(100, longest=30)
    for shape in ({"projection_size": 20}, {"pooling": "attention"}):
        frozen = FrozenEncoder.from_encoder(build(hidden_size=40, **shape), backend=backend)
        expected = frozen.encode(ids)
        assert torch.equal(frozen.encode(ids[::-1]), expected.flip(0)), "among the same sentences: the same bits"
        one_by_one = frozen.encode(ids, batch_size=1)
        torch.testing.assert_close(one_by_one, expected, rtol=0, atol=TOLERANCE["float32"])


@pytest.mark.parametrize("ids", [[[1], [VOCABULARY]], [[-1]]])
def test_ids_outside_of_the_vocabulary_are_refused(ids):
    frozen = FrozenEncoder.from_encoder(build())
    with pytest.raises(ValueError, match=r"tokens must hold ids in 0\.\.49, got"):
        frozen(pack(ids))
    with pytest.raises(ValueError, match=r"each in 0\.\.49; got \[(50|-1)\] for text [01]"):
        frozen.encode(ids)


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="precision must be one of float32, bfloat16, int8, got 'float16'"):
        FrozenEncoder.from_encoder(build(), precision="float16")


class LargestTensor(TorchDispatchMode):
    """Notes the number of elements of the largest tensor that an operation makes, of a given width."""

    def __init__(self, *, but_not: torch.Size) -> None:
        super().__init__()
        self.elements = 0
        self.but_not = but_not

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.shape != self.but_not:
            self.elements = max(self.elements, out.numel())
        return out


@pytest.mark.parametrize("pooling", ["max", "mean", "mean_max", "last"])
def test_memory_is_that_of_one_step_of_one_batch(pooling):
    frozen = FrozenEncoder.from_encoder(build(pooling=pooling), backend="torch")
    for count in (500, 4000):
        ids = list({tuple(sentence): None for sentence in sentences(count)})
        with LargestTensor(but_not=torch.Size([len(ids), frozen.output_size])) as largest:
            frozen.encode(ids, batch_size=64)
        assert largest.elements == 2 * 64 * 4 * 9, "the gates of both directions at one step"


def test_the_work_is_one_step_for_each_token_of_a_distinct_sentence():
    frozen = FrozenEncoder.from_encoder(build())
    ids = sentences(500)
    computed = []
    batches.encode_batches(
        lambda tokens: computed.append(tokens) or frozen(tokens),
        ids,
        vocabulary_size=VOCABULARY,
        output_size=frozen.output_size,
        batch_size=64,
    )
    assert sum(len(tokens.data) for tokens in computed) == sum(map(len, {tuple(sentence) for sentence in ids}))


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_may_share_it(backend):
    frozen = FrozenEncoder.from_encoder(build(hidden_size=40), backend=backend)
    parts = [sentences(60, seed=seed) for seed in range(12)]
    expected = [frozen.encode(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        for result, alone in zip(pool.map(frozen.encode, parts), expected, strict=True):
            assert torch.equal(result, alone)
