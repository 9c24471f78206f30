"""The frozen encoder on a GPU: the CPU's vectors, in every precision, of any ids and of many sentences at once."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from simlstm import SimilarityModel
from simlstm.data.batching import pack
from simlstm.models import batches, device_encoder
from simlstm.models.device_inputs import Size
from simlstm.models.freezable import obstacle
from simlstm.models.frozen import FrozenEncoder
from simlstm.models.pooling import POOLINGS
from simlstm.training.precision import float32_products
from tests.cuda.frozen_pairs import IDS, TOLERANCE, assert_close, pair
from tests.models.conftest import make_model, tokenizer  # noqa: F401 - fixtures
from tests.models.fresh_cases import TEXTS
from tests.models.frozen_cases import VOCABULARY, build, sentences

SHAPES = [
    {},
    {"bidirectional": False, "hidden_size": 33},
    {"num_layers": 2, "projection_size": 5},
    {"hidden_size": 128, "embedding_size": 64},
    {"hidden_size": 300, "embedding_size": 64},
]
CASES = [
    *[({"pooling": pooling}, "bfloat16") for pooling in POOLINGS],
    *[({"pooling": "mean_max", **shape}, name) for shape in SHAPES for name in TOLERANCE],
    ({"pooling": "attention", "num_layers": 2, "normalize": True}, "bfloat16"),
]


@contextmanager
def arithmetic(name: str) -> Iterator[str]:
    """Let torch compute in an arithmetic, and return the precision to freeze with."""
    with float32_products("tf32" if name == "tf32" else "float32"):
        yield "bfloat16" if name == "bfloat16" else "float32"


@pytest.mark.parametrize(("shape", "name"), CASES, ids=str)
def test_vectors_are_those_of_the_cpu(monkeypatch, shape, name):
    with arithmetic(name) as precision:
        right, frozen = pair(precision, **shape)
        expected, tokens = right(pack(IDS)), pack(IDS)
        assert (frozen.precision, frozen.backend, frozen.device.type) == (precision, "cuda", "cuda")
        for count in range(3):  # as it is, captured and replayed, replayed
            assert_close(frozen(tokens), expected, TOLERANCE[name])
            assert frozen._on_device.graphs.captured == min(count, 1)
        assert_close(frozen(tokens.to("cuda")), expected, TOLERANCE[name])
        monkeypatch.setattr(device_encoder, "MOST", Size(0, 0, 0))
        assert_close(frozen(tokens), expected, TOLERANCE[name])
        assert_close(frozen(tokens.to("cuda")), expected, TOLERANCE[name])


def test_bfloat16_is_the_default_and_int8_is_refused(make_model, tmp_path):  # noqa: F811
    encoder = build().to("cuda")
    assert FrozenEncoder.from_encoder(encoder).precision == "bfloat16"
    with pytest.raises(ValueError, match="precision must be float32 or bfloat16 on CUDA, got 'int8'"):
        FrozenEncoder.from_encoder(encoder, precision="int8")
    with pytest.raises(ValueError, match="backend must be cuda or torch, got 'native' for weights on cuda:0"):
        FrozenEncoder.from_encoder(encoder, backend="native")
    make_model().save_pretrained(tmp_path / "m")
    exact = SimilarityModel.from_pretrained(tmp_path / "m", device="cpu").encode(TEXTS)
    for dtype, tolerance in ((None, 2e-2), ("bfloat16", 2e-2), ("float32", 5e-3)):
        model = SimilarityModel.from_pretrained(tmp_path / "m", device="cuda", dtype=dtype)
        assert (model.dtype, model.backend) == (dtype or "bfloat16", "cuda")
        np.testing.assert_allclose(model.encode(TEXTS), exact, rtol=0, atol=tolerance)
    with pytest.raises(ValueError, match="got 'int8'"):
        SimilarityModel.from_pretrained(tmp_path / "m", device="cuda", dtype="int8").encode(TEXTS)


def test_an_encoder_that_moves_is_frozen_anew(make_model):  # noqa: F811
    model = make_model().freeze("float32")
    expected = model.encode(TEXTS)
    for device in ("cuda", "cpu"):
        model.model.to(device)
        np.testing.assert_allclose(model.encode(TEXTS), expected, rtol=0, atol=5e-3)
        assert (model.backend == "cuda") == (device == "cuda")


def test_parts_on_two_devices_are_not_frozen():
    encoder = build().to("cuda")
    encoder.embedding.to("cpu")
    assert obstacle(encoder) == (
        "encoder.recurrent.weight_ih_l0 is on cuda:0; allowed: cpu, where encoder.embedding.weight is"
    )


@pytest.mark.parametrize("shape", [{}, {"num_layers": 2, "pooling": "attention"}], ids=str)
def test_torch_operations_take_its_place(shape):
    right, _ = pair(**shape)
    with float32_products("float32"):
        frozen = FrozenEncoder.from_encoder(build(**shape).to("cuda"), backend="torch", precision="float32")
        for tokens in (pack(IDS), pack(IDS).to("cuda")):
            assert_close(frozen(tokens), right(pack(IDS)), TOLERANCE["float32"])
        assert_close(frozen.encode(IDS, batch_size=7), right.encode(IDS), TOLERANCE["float32"])


@pytest.mark.parametrize("pooling", ["mean_max", "attention"])
def test_a_table_that_is_too_large_is_not_made(pooling):
    right, _ = pair(pooling=pooling)
    frozen = FrozenEncoder.from_encoder(build(pooling=pooling).to("cuda"), table_bytes=1000)
    for tokens in (pack(IDS), pack(IDS).to("cuda")):
        assert_close(frozen(tokens), right(pack(IDS)), TOLERANCE["bfloat16"])
    for tokens in (pack([[VOCABULARY]]), pack([[VOCABULARY]]).to("cuda")):
        with pytest.raises(ValueError, match=r"got 50\.\.50"):
            frozen(tokens)


@pytest.mark.parametrize("most", [device_encoder.MOST, Size(0, 0, 0)])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_unseen_ids_that_are_none_make_their_sentence_nan_and_no_other(monkeypatch, pooling, most):
    monkeypatch.setattr(device_encoder, "MOST", most)
    _, frozen = pair(pooling=pooling, projection_size=4, normalize=True)
    ids = [[1, 2, 3], [5, 6], [7]]
    expected = frozen(pack(ids))
    for wrong, sentence, place in ((VOCABULARY, 0, 0), (-1, 0, 1), (2**62, 0, 2), (-(2**33) + 1, 2, 0)):
        changed = [list(sentence) for sentence in ids]
        changed[sentence][place] = wrong
        for _ in range(3):
            result = frozen(pack(changed).to("cuda"))
            is_nan = [number == sentence for number in range(3)]
            assert result.isnan().all(1).tolist() == result.isnan().any(1).tolist() == is_nan
            others = [number for number in range(3) if number != sentence]
            torch.testing.assert_close(result[others], expected[others], rtol=0, atol=1e-5)
        with pytest.raises(ValueError, match=r"ids in 0\.\.49, got"):
            frozen(pack(changed))


@pytest.mark.parametrize("batch_size", [1, 7, 256])
def test_texts_in_batches_end_in_their_places(batch_size):
    ids = sentences(1500, longest=30)
    right, frozen = pair(pooling="mean_max")
    encoded = frozen.encode(ids, batch_size=batch_size)
    assert encoded.device.type == "cpu"
    assert_close(encoded, right.encode(ids), TOLERANCE["bfloat16"])
    assert frozen.encode([]).shape == (0, frozen.output_size)


@pytest.mark.parametrize("pooling", ["max", "mean_max"])
def test_many_sentences_at_once(pooling):
    ids = sentences(65_536, longest=25)
    right, frozen = pair(pooling=pooling, hidden_size=64, embedding_size=32)
    tokens = pack(ids)
    sample = slice(0, 65_536, 97)
    expected = right.encode(ids[sample])
    for given in (tokens, tokens.to("cuda")):
        assert_close(frozen(given)[sample], expected, TOLERANCE["bfloat16"])
    assert_close(frozen.encode(ids, batch_size=4096)[sample], expected, TOLERANCE["bfloat16"])


def test_ten_thousand_tokens_in_one_sentence():
    long = [list(range(50)) * 200, [3]]
    right, frozen = pair(pooling="mean_max")
    for _ in range(2):
        assert_close(frozen(pack(long)), right(pack(long)), TOLERANCE["bfloat16"])


def test_a_batch_is_the_same_to_the_last_bit_in_twenty_runs():
    _, frozen = pair(hidden_size=128, num_layers=2, pooling="mean_max")
    tokens = pack(IDS)
    replayed = [frozen(tokens) for _ in range(22)][2:]
    assert all(torch.equal(result, replayed[0]) for result in replayed)


def test_the_order_of_batches_is_that_of_the_cpu(monkeypatch):
    _, frozen = pair()
    seen = []
    cut = batches._batches

    def noting(texts, batch_size):
        for batch in cut(texts, batch_size):
            seen.append(len(batch))
            yield batch

    monkeypatch.setattr(batches, "_batches", noting)
    ids = sentences(100)
    frozen.encode(ids, batch_size=16)
    on_gpu = list(seen)
    seen.clear()
    pair()[0].encode(ids, batch_size=16)
    assert seen == on_gpu
