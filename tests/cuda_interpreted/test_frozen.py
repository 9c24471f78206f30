"""The frozen encoder in the cuda backend: against torch operations of the same rounding, padded and as it is."""

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence

from simlstm.data.batching import pack
from simlstm.models import device_encoder
from simlstm.models.device_inputs import Size, block_bytes, cut, stage
from simlstm.models.frozen import FrozenEncoder
from simlstm.models.pooling import POOLINGS
from simlstm.rnn.backends.cuda import presence
from simlstm.rnn.backends.cuda.graphs import Graphs
from simlstm.rnn.device_walk import DeviceWalk
from simlstm.rnn.frozen import freeze_layer, frozen_backend, frozen_backend_on_cuda
from tests.models.frozen_cases import VOCABULARY, build, sentences
from tests.rnn.test_cuda_graphs import Recorder

# float32 adds up in another order: 2e-7 seen where values are around 0.2, and 20 times that scaled to length 1. In
# bfloat16 that carries an h beside the border of two steps across it, once in a while, by 4e-3 of its value: 3e-4 seen.
# A layer above multiplies its input in bfloat16, too, which torch operations leave in float32: 2.5e-3 seen.
ONE_LAYER = {"float32": 2e-6, "bfloat16": 1e-3}
TWO_LAYERS = {"float32": 2e-6, "bfloat16": 1e-2}
IDS = sentences(9, longest=6)  # one of length 1, two of them twice
STACK = {"num_layers": 2, "projection_size": 5, "normalize": True}
SHAPES = [
    *[{"pooling": pooling} for pooling in POOLINGS],
    {"pooling": "attention", **STACK},
    {"pooling": "mean_max", **STACK},
    {"pooling": "last", "num_layers": 2, "bidirectional": False},
    {"pooling": "mean_max", "bidirectional": False, "hidden_size": 33},
]
NOTHING = Size(0, 0, 0)


def frozen(encoder, **options):
    return FrozenEncoder.from_encoder(encoder, backend="cuda", **options)


def assert_close(result, expected, tolerance=2e-6):
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_vectors_are_those_of_torch_operations(monkeypatch, shape, precision):
    encoder = build(**shape)
    expected = FrozenEncoder.from_encoder(encoder, precision=precision, backend="torch")(pack(IDS))
    tolerance = (TWO_LAYERS if "num_layers" in shape else ONE_LAYER)[precision]
    own = frozen(encoder, precision=precision)
    assert (own.precision, own.backend, own.device) == (precision, "cuda", torch.device("cpu"))
    padded = own(pack(IDS))
    assert own._on_device.graphs.sizes == [(16, 8, 32, False)]
    assert_close(padded, expected, tolerance)
    monkeypatch.setattr(device_encoder, "MOST", NOTHING)
    as_it_is = own(pack(IDS))
    assert_close(as_it_is, padded, 2e-6 if precision == "float32" else 1e-3)


@pytest.mark.parametrize(("pooling", "precision"), [("mean_max", "float32"), ("attention", "bfloat16")])
def test_a_table_that_is_too_large_is_not_made(pooling, precision):
    encoder = build(pooling=pooling, num_layers=2)
    with_table = frozen(encoder, precision=precision)(pack(IDS))
    without = frozen(encoder, precision=precision, table_bytes=1000)
    assert_close(without(pack(IDS)), with_table, 2e-6 if precision == "float32" else 1e-3)
    assert not without._on_device.graphs.sizes
    with pytest.raises(ValueError, match=r"ids in 0\.\.49, got 50\.\.50"):
        without(pack([[VOCABULARY]]))


@pytest.mark.parametrize("pooling", ["mean_max", "last", "attention"])
def test_batches_of_every_form(pooling):
    encoder = build(pooling=pooling)
    own, other = frozen(encoder, precision="bfloat16"), FrozenEncoder.from_encoder(encoder, precision="bfloat16")
    for ids in ([[5]], [[5, 6, 7]], [[1], [2], [3]], [[1, 2], [3, 4]], [[4] * 9, [1]], [[7]] * 17):
        tokens = pack(ids)
        expected = other(tokens)
        assert_close(own(tokens), expected, 2e-3)  # the native kernel's sigmoid is 2e-4 off
        assert_close(own(PackedSequence(tokens.data.int(), tokens.batch_sizes)), expected[tokens.sorted_indices], 2e-3)
    encoded = own.encode([*IDS, []][:-1], batch_size=4)
    assert_close(encoded, other.encode(IDS), 2e-3)
    assert own.encode([]).shape == (0, own.output_size)


def test_a_result_is_not_overwritten_by_the_next_batch_of_its_size():
    own, capture = frozen(build()), Recorder()
    own._on_device.graphs = Graphs(own.device, capture, most=4)
    tokens = pack(IDS)
    other = tokens._replace(data=(tokens.data + 1) % VOCABULARY)
    expected = own(tokens)
    for ordered in (True, False):
        first, second = (
            own(given if ordered else PackedSequence(given.data, given.batch_sizes)) for given in (tokens, other)
        )
        assert torch.equal(first if ordered else first[tokens.unsorted_indices], expected)
        assert not torch.equal(first, second)
    assert (capture.captures, capture.replays) == (1, 4)


@pytest.mark.parametrize("pooling", ["mean_max", "last", "attention"])
@pytest.mark.parametrize("shape", [{}, {"num_layers": 2}], ids=str)
def test_what_is_padding_is_not_read(pooling, shape):
    own = frozen(build(pooling=pooling, **shape), precision="bfloat16")
    tokens = pack(IDS)
    size = Size(16, 8, 64)
    block = stage(tokens.batch_sizes, tokens.data, size, torch.int64, pin=False)
    inputs = cut(block, size, torch.int64)
    inputs.ids[len(tokens.data) :] = VOCABULARY  # the row of NaN
    inputs.offsets[len(tokens.batch_sizes) :] = 60
    result = own._on_device._body(own._gates.table, inputs, is_guarded=False)
    assert not result[: len(IDS)].isnan().any()
    assert_close(result[: len(IDS)][tokens.unsorted_indices], own(tokens))
    assert len(block) == block_bytes(size, torch.int64)[0] == 8 * 8 + 4 * 16 + 8 * 64


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("is_padded", [True, False])
def test_an_unseen_id_that_is_none_makes_its_sentence_nan_and_no_other(monkeypatch, pooling, is_padded):
    if not is_padded:
        monkeypatch.setattr(device_encoder, "MOST", NOTHING)
    shape = {"num_layers": 2, "bidirectional": False} if pooling == "mean_max" else {"projection_size": 4}
    own = frozen(build(pooling=pooling, **shape), precision="bfloat16")
    ids = [[1, 2, 3], [5, 6], [7]]
    expected = own(pack(ids))
    for wrong, sentence, place in ((VOCABULARY, 0, 0), (-1, 0, 1), (2**40, 0, 2), (-(2**33) + 1, 2, 0)):
        changed = [list(sentence) for sentence in ids]
        changed[sentence][place] = wrong
        tokens = pack(changed)
        result = own._on_device(tokens.data, tokens.batch_sizes, None, is_guarded=True)
        is_nan = [number == sentence for number in range(3)]
        assert result.isnan().all(1).tolist() == result.isnan().any(1).tolist() == is_nan
        others = [number for number in range(3) if number != sentence]
        assert torch.equal(result[others], expected[others])
    with pytest.raises(ValueError, match="got 50"):
        own(pack([[VOCABULARY]]))


def test_sizes_beyond_the_largest_run_as_they_are(monkeypatch):
    expected = frozen(build(pooling="attention"))(pack(IDS))
    for name, most in (
        ("MOST", Size(8, 8, 32)),
        ("MOST", Size(16, 4, 32)),
        ("MOST", Size(16, 8, 16)),
        ("MOST_GATHERED", 127),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(device_encoder, name, most)
            other = frozen(build(pooling="attention"))
            assert_close(other(pack(IDS)), expected)
            assert not other._on_device.graphs.sizes


def test_what_is_made_in_inference_mode_serves_outside_of_it():
    with torch.inference_mode():
        own = frozen(build(num_layers=2, projection_size=3))
        first = own(pack(IDS))
    second = own(pack(IDS))
    assert torch.equal(first, second)
    assert not second.requires_grad
    assert not second.is_inference()


def test_defaults_and_autocast_change_nothing():
    encoder = build(num_layers=2, pooling="attention")
    expected = frozen(encoder).encode(IDS)
    with torch.device("meta"), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(frozen(encoder).encode(IDS), expected)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(frozen(encoder).encode(IDS), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_int8_has_no_kernel():
    with pytest.raises(ValueError, match=r"precision must be float32 or bfloat16 in the cuda backend.*got 'int8'"):
        frozen(build(), precision="int8")


def test_a_layer_gives_what_is_wanted():
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.rand(shape, generator=generator) - 0.5

    tokens = pack(IDS)
    sizes = tokens.batch_sizes.tolist()
    w_hh, w_ih, bias = [draw(20, 5), draw(20, 5)], [draw(20, 3), draw(20, 3)], [draw(20), draw(20)]
    layer, right = (freeze_layer(w_hh, "float32", backend) for backend in ("cuda", "torch"))
    embedding = draw(VOCABULARY, 3)
    table, right_table = (made.fold(embedding, w_ih, bias) for made in (layer, right))
    assert torch.equal(table, right_table)
    wanted = dict.fromkeys(("rows", "maximum", "total", "last"), True)
    for ids, gates in ((tokens.data, table), (tokens.data.int(), table), (None, table[tokens.data])):
        for own, other in zip(
            layer.run(gates, ids, sizes, **wanted), right.run(gates, ids, sizes, **wanted), strict=True
        ):
            torch.testing.assert_close(own, other, rtol=0, atol=2e-6)
    for name in wanted:
        alone = layer.run(table, tokens.data, sizes, **{other: other == name for other in wanted})
        assert [value is not None for value in alone] == [other == name for other in wanted]
    for weights in w_hh:  # they were copied
        weights.zero_()
    last = {**dict.fromkeys(wanted, False), "last": True}
    torch.testing.assert_close(
        layer.run(table, None, [1], **last).last, right.run(table, None, [1], **last).last, rtol=0, atol=2e-6
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])  # of two kernels
def test_a_sequence_without_a_step_has_the_results_of_none(monkeypatch, precision):
    layer = freeze_layer([torch.rand(20, 5) - 0.5] * 2, precision, "cuda")
    table = layer.fold(torch.rand(4, 3), [torch.rand(20, 3)] * 2, [torch.rand(20)] * 2)
    empty = torch.empty

    def poisoned(*shape, **options):
        return empty(*shape, **options).fill_(77)

    monkeypatch.setattr(torch, "empty", poisoned)
    walk = DeviceWalk(torch.tensor([0, 2]), None, torch.tensor([2, 1, 0, 0], dtype=torch.int32), 3, has_gaps=False)
    result = layer.run_walk(table, torch.tensor([1, 2, 3]), walk, maximum=True, total=True, last=True)
    for value, nothing in ((result.maximum, -torch.inf), (result.total, 0.0), (result.last, 0.0)):
        assert (value[2:] == nothing).all()
        assert (value[:2].abs() < 2).all()
    assert result.rows is None


def test_the_backend_is_for_cuda_and_says_what_is_in_the_way(monkeypatch):
    assert frozen_backend() != "cuda"
    assert frozen_backend_on_cuda() == "cuda"
    monkeypatch.setattr(presence, "obstacle", lambda: "a bus")
    assert frozen_backend_on_cuda() == "torch"
    with pytest.raises(RuntimeError, match="cannot run here: a bus"):
        frozen(build())
