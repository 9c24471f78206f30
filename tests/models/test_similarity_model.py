"""SimilarityModel: shapes, dtypes, values by hand, edges, and independence of batch and order."""

import logging
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simlstm import SimilarityModel
from simlstm.data.batching import pack
from simlstm.models.calibration import Calibration
from simlstm.models.config import HeadName
from simlstm.models.pooling import POOLINGS
from simlstm.text.tokenizer import Tokenizer

Build = Callable[..., SimilarityModel]
SENTENCES = [
    "a man plays a guitar",
    "a woman sings today",
    "the dog does not run across the green field",
    "two children eat an apple",
    "一只猫在睡觉",
    "没有吉他 but a dog",
]
EDGES = ["", "   ", "\n", "zzz qqq", "a", "\0", "\ud800", "😀", "مرحبا", "一只 cat 在睡觉", "a man " * 300]
# The order in which a matrix product adds up depends on its number of rows; float32 rounds at 6e-8 of values up to 1,
# and a sentence of some tokens gathers a few of these. Seen on MKL: up to 1.2e-6.
BATCH_TOLERANCE = 5e-6


def test_encode_gives_what_was_asked_for(make_model: Build) -> None:
    model = make_model()
    many = model.encode(SENTENCES)
    assert isinstance(many, np.ndarray)
    assert many.shape == (len(SENTENCES), model.embedding_size)
    assert many.dtype == np.float32
    one = model.encode(SENTENCES[0])
    assert one.shape == (model.embedding_size,)
    tensor = model.encode(SENTENCES, convert_to_tensor=True)
    assert tensor.dtype == torch.float32
    assert np.array_equal(tensor.numpy(), many)
    assert not tensor.is_inference(), "a caller may train something on top of it"
    assert model.encode([]).shape == (0, model.embedding_size)
    assert model.encode([], convert_to_tensor=True).shape == (0, model.embedding_size)
    assert np.array_equal(model.encode(iter(SENTENCES)), many)
    assert np.array_equal(model.encode(np.array(SENTENCES)), many)


def test_encode_is_the_encoder(make_model: Build) -> None:
    model = make_model(word_dropout=0.5, embedding_dropout=0.5)
    model.model.train()
    tokens = pack(model.tokenizer.encode(SENTENCES))
    embeddings = model.encode(SENTENCES)
    assert model.model.training, "a call leaves the mode as it was"
    expected = model.model.eval().encoder(tokens)
    np.testing.assert_allclose(embeddings, expected.detach().numpy(), atol=BATCH_TOLERANCE)


def test_normalized_embeddings_have_length_one(make_model: Build) -> None:
    embeddings = make_model().encode([*SENTENCES, *EDGES], normalize_embeddings=True)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_edges_are_defined(make_model: Build, pooling: str, frozen: bool) -> None:
    model = make_model(pooling=pooling)
    if frozen:
        model.freeze()
    assert np.isfinite(model.encode(EDGES)).all()
    scores = model.score(EDGES, EDGES[::-1])
    assert np.isfinite(scores).all()
    # Texts without a token are all one unknown token.
    assert np.array_equal(model.encode(""), model.encode("   "))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(), max_size=40))
def test_any_text_has_an_embedding(make_model: Build, text: str) -> None:
    assert np.isfinite(make_model().encode(text)).all()


def long_and_short(count: int) -> list[str]:
    generator = random.Random(0)
    words = " ".join(SENTENCES[:4]).split()
    return [" ".join(generator.choices(words, k=generator.randint(1, 25))) for _ in range(count)]


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_vector_does_not_depend_on_its_batch(make_model: Build, pooling: str, frozen: bool) -> None:
    model = make_model(pooling=pooling, embedding_size=50, hidden_size=32)
    if frozen:
        model.freeze()
    texts = long_and_short(300)
    embeddings = model.encode(texts)
    assert np.array_equal(model.encode(texts), embeddings), "again: the same bits"
    order = list(range(len(texts)))
    random.Random(1).shuffle(order)
    shuffled = model.encode([texts[index] for index in order])
    assert np.array_equal(shuffled, embeddings[order]), "in another order: the same bits"
    assert np.array_equal(model.encode([*texts, *texts[:9]]), embeddings[[*range(300), *range(9)]]), "repeated: too"
    for batch_size in (1, 2, 7, 300):
        np.testing.assert_allclose(model.encode(texts, batch_size), embeddings, rtol=0, atol=BATCH_TOLERANCE)


def test_identical_texts_are_computed_once(make_model: Build) -> None:
    model = make_model()
    seen: list[int] = []
    model.model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(int(inputs[0].batch_sizes[0])))
    embeddings = model.encode(["a man", "a  man", "a man", "two", "a man"])  # equal after tokenization counts, too
    assert sum(seen) == 2
    assert all(np.array_equal(embeddings[0], embeddings[row]) for row in (1, 2, 4))


def test_batches_are_as_large_as_asked(make_model: Build) -> None:
    model = make_model()
    seen: list[int] = []
    model.model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(int(inputs[0].batch_sizes[0])))
    model.encode(SENTENCES, batch_size=4)
    assert seen == [4, 2]


def test_which_texts_share_a_batch_does_not_depend_on_their_order(make_model: Build) -> None:
    model = make_model()
    seen: list[list[int]] = []
    model.model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].data.tolist()))
    texts = long_and_short(200)
    model.encode(texts, batch_size=8)
    model.encode(texts[::-1], batch_size=8)
    assert len(seen) == 2 * 25
    assert seen[:25] == seen[25:]


def test_long_texts_are_cut_and_it_is_said(make_model: Build, caplog: pytest.LogCaptureFixture) -> None:
    model = make_model(max_tokens=3)
    with caplog.at_level(logging.WARNING):
        cut = model.encode("a man plays a guitar")
        assert caplog.messages == ["1 of 1 texts exceed 3 tokens and were cut"]
        assert np.array_equal(model.encode("a man plays"), cut)
        assert len(caplog.messages) == 1
    tokenization = model.tokenize(["a man plays a guitar", "a man plays"])
    assert [entry.truncated for entry in tokenization] == [True, False]
    assert tokenization[0].ids == tokenization[1].ids


def test_ten_thousand_tokens(make_model: Build) -> None:
    model = make_model(max_tokens=20_000, pooling="mean")
    assert np.isfinite(model.encode("a man " * 5_000)).all()


@pytest.mark.parametrize("head", ["cosine", "manhattan", "mlp"])
def test_score_is_the_pair_head(make_model: Build, head: HeadName) -> None:
    model = make_model(head=head)
    a, b = SENTENCES[:3], SENTENCES[3:]
    scores = model.score(a, b)
    assert scores.dtype == np.float32
    assert scores.shape == (3,)
    with torch.no_grad():
        expected = model.model.eval()(pack(model.tokenizer.encode([*a, *b]))).score
    np.testing.assert_allclose(scores, expected.numpy(), atol=BATCH_TOLERANCE)
    assert np.array_equal(scores, model.score(b, a))
    by_embeddings = model.score_embeddings(model.encode(a), model.encode(b, convert_to_tensor=True))
    np.testing.assert_allclose(by_embeddings, scores, atol=BATCH_TOLERANCE)
    assert model.score([], []).shape == (0,)


def test_identity_is_the_maximum_where_the_head_has_one(make_model: Build) -> None:
    assert np.array_equal(make_model(head="manhattan").score(SENTENCES, SENTENCES), np.ones(len(SENTENCES)))
    np.testing.assert_allclose(make_model(head="cosine").score(SENTENCES, SENTENCES), 1.0, rtol=1e-6)


def test_similarity_is_the_cosine_of_embeddings(make_model: Build) -> None:
    model = make_model(head="mlp")
    first, second = model.encode(SENTENCES[:2]), model.encode(SENTENCES[2:])
    matrix = model.similarity(first, second)
    assert matrix.shape == (2, 4)
    lengths = np.linalg.norm(first, axis=1)[:, None] * np.linalg.norm(second, axis=1)
    np.testing.assert_allclose(matrix.numpy(), first @ second.T / lengths, rtol=1e-5)
    pairwise = model.similarity_pairwise(first, torch.from_numpy(second[:2]))
    np.testing.assert_allclose(pairwise.numpy(), np.diag(matrix.numpy()[:, :2]), rtol=1e-5)
    assert model.similarity(first[0], second).shape == (1, 4)
    assert model.similarity(np.zeros((1, 3)), np.ones((2, 3))).tolist() == [[0.0, 0.0]]


def test_probability_is_calibrated_or_refused(make_model: Build, platt: Calibration) -> None:
    model = make_model(calibration=platt)
    a, b = SENTENCES[:3], SENTENCES[3:]
    scores = model.score(a, b)
    np.testing.assert_allclose(model.probability(a, b), 1 / (1 + np.exp(2 - 4 * scores)), rtol=1e-5)
    assert np.array_equal(model.probability_of(scores), model.probability(a, b))
    assert model.threshold == 0.5
    bare = make_model()
    assert bare.threshold is None
    with pytest.raises(ValueError, match="'seed0' has no calibration"):
        bare.probability(a, b)
    with pytest.raises(ValueError, match="has no calibration"):
        bare.probability_of([0.5])


def test_properties(make_model: Build) -> None:
    model = make_model(kind="binary", classes=2, pooling="mean_max")
    assert model.device == torch.device("cpu")
    assert model.embedding_size == 20
    assert model.max_tokens == 256
    assert not model.is_graded
    assert make_model().is_graded
    assert model.name == "seed0"
    assert make_model(seed=0).fingerprint == make_model(seed=0).fingerprint != make_model(seed=1).fingerprint


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.encode(["a", 3]), r"inputs\[1\] must be a str, got 3 \(int\)"),
        (lambda m: m.encode(["a", None]), r"inputs\[1\] must be a str, got None"),
        (lambda m: m.encode([["a"]]), r"inputs\[0\] must be a str, got \['a'\] \(list\)"),
        (lambda m: m.encode(None), "inputs must be a list of str, got a NoneType"),
        (lambda m: m.encode(b"bytes"), "inputs must be a list of str, got a bytes"),
        (lambda m: m.encode({"a": 1}), "inputs must be a list of str, got a dict"),
        (lambda m: m.encode({"a"}), "inputs must be a list of str, got a set"),
        (lambda m: m.encode(7), "inputs must be a list of str, got a int"),
        (lambda m: m.encode(["a"], batch_size=0), "batch_size must be an integer, at least 1, got 0"),
        (lambda m: m.tokenize("a man"), "texts must be a list of str, got a str"),
        (lambda m: m.score("a man", "a dog"), "a must be a list of str, got a str"),
        (lambda m: m.score(["a man"], "a dog"), "b must be a list of str, got a str"),
        (lambda m: m.score(["a"], ["b", "c"]), "a and b must be equally long, got 1 and 2 texts"),
        (lambda m: m.score(["a"], [1.5]), r"b\[0\] must be a str, got 1.5"),
        (lambda m: m.encode_tokens([[1], []]), "at least one id per text.* got .* for text 1"),
        (lambda m: m.encode_tokens([[1], [2, 10**6]]), r"each in 0\.\.\d+; got \[2, 1000000\] for text 1"),
        (lambda m: m.encode_tokens([[-1]]), r"got \[-1\] for text 0"),
        (lambda m: m.encode_tokens([[1]], batch_size=-2), "batch_size must be an integer, at least 1, got -2"),
        (lambda m: m.freeze().encode_tokens([[1], []]), "at least one id per text.* got .* for text 1"),
        (lambda m: m.freeze("float16"), "dtype must be one of float32, bfloat16, int8, got 'float16'"),
        (lambda m: m.score_embeddings(np.zeros((2, 10)), np.zeros((3, 10))), r"must both be \[n, 10\], got \[2, 10\]"),
        (lambda m: m.score_embeddings(np.zeros((2, 9)), np.zeros((2, 9))), r"must both be \[n, 10\], got \[2, 9\]"),
        (lambda m: m.similarity(np.zeros((2, 9)), np.zeros((2, 8))), "equally wide, got 9 and 8"),
        (lambda m: m.similarity(np.zeros((2, 9, 1)), np.zeros((2, 9))), r"embeddings1 must be \[n, D\]"),
        (lambda m: m.similarity_pairwise(np.zeros((2, 9)), np.zeros((3, 9))), "equally many rows, got 2 and 3"),
    ],
)
def test_mistakes_are_named(make_model: Build, call: Callable[[SimilarityModel], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(make_model())


@pytest.mark.parametrize("head", ["cosine", "manhattan", "mlp"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_saved_and_loaded_scores_are_equal(
    make_model: Build, platt: Calibration, tmp_path: Path, pooling: str, head: HeadName
) -> None:
    model = make_model(pooling=pooling, head=head, projection_size=6, normalize=True, calibration=platt)
    folder = tmp_path / "runs" / "demo"
    model.save_pretrained(folder)
    random_state = torch.get_rng_state()
    loaded = SimilarityModel.from_pretrained(folder)
    assert torch.equal(torch.get_rng_state(), random_state), "loading draws no random numbers"
    assert loaded.config == model.config
    assert loaded.calibration == platt
    assert loaded.metrics == model.metrics
    assert loaded.provenance == model.provenance
    assert loaded.fingerprint == model.fingerprint
    assert loaded.name == "demo"
    assert loaded.backend != model.backend == "live"
    texts = [*SENTENCES, *EDGES]
    np.testing.assert_allclose(loaded.encode(texts), model.encode(texts), rtol=0, atol=BATCH_TOLERANCE)
    model.freeze()  # what computes is the same now, so the bits are
    assert np.array_equal(loaded.encode(texts), model.encode(texts))
    assert np.array_equal(loaded.score(SENTENCES, SENTENCES[::-1]), model.score(SENTENCES, SENTENCES[::-1]))
    assert np.array_equal(loaded.probability(SENTENCES, SENTENCES), model.probability(SENTENCES, SENTENCES))


def test_a_loaded_model_can_be_trained_on(make_model: Build, tmp_path: Path) -> None:
    make_model().save_pretrained(tmp_path / "m")
    loaded = SimilarityModel.from_pretrained(tmp_path / "m", device="cpu")
    assert not loaded.model.training
    loaded.model.train()(pack([[1, 2], [3]])).score.sum().backward()
    assert all(parameter.grad is not None for parameter in loaded.model.parameters())


@pytest.mark.parametrize("device", [None, "auto"])
def test_device_is_chosen(make_model: Build, tmp_path: Path, device: str | None) -> None:
    make_model().save_pretrained(tmp_path / "m")
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert SimilarityModel.from_pretrained(tmp_path / "m", device=device).device.type == expected


@pytest.mark.parametrize("device", ["cuda:99", torch.device("cuda:99"), "gpu", "tpu:0", "cuda:-5", ""])
def test_a_device_that_is_not_there_is_named(make_model: Build, tmp_path: Path, device: str | torch.device) -> None:
    make_model().save_pretrained(tmp_path / "m")
    with pytest.raises(ValueError, match=rf"device: got '{device}'; .+; there are: cpu"):
        SimilarityModel.from_pretrained(tmp_path / "m", device=device)


def test_the_tokenizer_travels_with_the_model(make_model: Build, tokenizer: Tokenizer, tmp_path: Path) -> None:
    make_model().save_pretrained(tmp_path / "m")
    loaded = SimilarityModel.from_pretrained(tmp_path / "m").tokenizer
    assert loaded.vocabulary() == tokenizer.vocabulary()
    assert loaded.encode([*SENTENCES, *EDGES]) == tokenizer.encode([*SENTENCES, *EDGES])


@pytest.mark.parametrize("default", [torch.float64, torch.float16])
@pytest.mark.parametrize("freeze", [False, True])
def test_scores_and_vectors_are_float32_whatever_torch_makes_by_default(make_model, default, freeze):
    model = make_model()
    if freeze:
        model.freeze()
    texts = ["a man plays a guitar", "a woman sings", "a woman sings"]
    vectors, scores = model.encode(texts), model.score(texts, texts[::-1])
    torch.set_default_dtype(default)
    try:
        again = model.encode(texts), model.score(texts, texts[::-1])
    finally:
        torch.set_default_dtype(torch.float32)
    for result, expected in zip(again, (vectors, scores), strict=True):
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, expected)
