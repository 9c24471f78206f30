"""Explanations: exact where they claim to be, defined at the edges, and about the words that matter."""

import copy
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from simlstm import SimilarityModel
from simlstm.data.batching import pack
from simlstm.data.demo import demo_pairs
from simlstm.models.calibration import Calibration
from simlstm.models.config import HeadName
from simlstm.models.explanation import Explanation
from simlstm.models.pooling import POOLINGS
from simlstm.text.tokenizer import Tokenizer
from tests.models.explained_training import train_on_demo

Build = Callable[..., SimilarityModel]
A, B = "a man plays a guitar", "the dog does not run across the green field today"
SHAPES = [
    {"projection_size": None},
    {"projection_size": 6, "normalize": True},
    {"projection_size": 6, "num_layers": 2},
    {"bidirectional": False, "normalize": True},
]


def double(model: SimilarityModel) -> SimilarityModel:
    """The same in float64, where what must be equal is equal to ten digits and more."""
    model.model.double()
    return model


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("head", get_args(HeadName))
@pytest.mark.parametrize("pooling", POOLINGS)
def test_sums_are_exact(make_model: Build, pooling: str, head: str, shape: dict[str, object]) -> None:
    model = make_model(pooling=pooling, head=head, **shape)
    explanation = model.explain(A, B)
    assert explanation.score == pytest.approx(float(model.score([A], [B])[0]), abs=1e-6)
    vectors = model.encode([A, B])
    assert explanation.cosine == pytest.approx(float(model.similarity(vectors[0], vectors[1])), abs=1e-6)
    assert explanation.cosine_shares.shape == explanation.alignment.shape == (5, 10)
    assert explanation.cosine_shares.sum() == pytest.approx(explanation.cosine, abs=1e-5)
    assert (np.abs(explanation.alignment) <= 1 + 1e-6).all()
    for text, count in ((explanation.first, 5), (explanation.second, 10)):
        assert len(text.tokens) == len(text.offsets) == len(text.word_numbers) == count
        assert text.pooling.shape == text.gradient.shape == (count,)
        assert text.pooling.dtype == text.gradient.dtype == np.float32


@pytest.mark.parametrize("pooling", POOLINGS)
def test_contributions_are_what_their_definitions_say(make_model: Build, pooling: str) -> None:
    """Against another way: finite differences of the score along each token, and along each part of the pooling."""
    model = double(make_model(pooling=pooling, projection_size=6))
    explanation = model.explain(A, B)
    siamese, ids = model.model, model.tokenizer.encode([A, B])

    def score(scale: torch.Tensor) -> float:
        """Score with the first text's embedded tokens multiplied by ``scale`` [n]."""
        changed = copy.deepcopy(siamese)
        embedded = changed.encoder.embedding(torch.tensor(ids[0])).detach() * scale[:, None]
        table = torch.cat([embedded, changed.encoder.embedding.weight.detach()])
        changed.encoder.embedding = nn.Embedding.from_pretrained(table)
        shifted = [list(range(len(ids[0]))), [token + len(ids[0]) for token in ids[1]]]
        return float(changed.eval()(pack(shifted)).score.detach())

    ones, step = torch.ones(5, dtype=torch.float64), 1e-5
    for token in range(5):
        bump = step * nn.functional.one_hot(torch.tensor(token), 5).double()
        slope = (score(ones + bump) - score(ones - bump)) / (2 * step)
        assert explanation.first.gradient[token] == pytest.approx(slope, abs=1e-7)

    pooled: list[torch.Tensor] = []
    hook = siamese.encoder.pooling.register_forward_hook(lambda _, __, out: pooled.append(out.detach()))
    siamese(pack(ids))
    hook.remove()

    def from_pooled(factor: float) -> float:
        u, v = siamese.encoder.projection(
            pooled[0] * torch.tensor([[1.0], [factor]], dtype=torch.float64)
        )  # longest first: B, A
        return float(siamese.head(v[None], u[None]).score.detach())

    slope = (from_pooled(1 + step) - from_pooled(1 - step)) / (2 * step)
    assert explanation.first.pooling.sum() == pytest.approx(slope, abs=1e-7), "all parts together are the pooled vector"


@pytest.mark.parametrize("head", get_args(HeadName))
@pytest.mark.parametrize("pooling", POOLINGS)
def test_integrated_gradients_are_complete(make_model: Build, pooling: str, head: str) -> None:
    activation = {"head_activation": "tanh"} if head == "mlp" else {}
    model = double(make_model(pooling=pooling, head=head, hidden_size=12, embedding_size=9, **activation))
    with torch.no_grad():
        for parameter in model.model.parameters():
            parameter *= 3  # random weights are small: there would be little to explain
    explanation = model.explain(A, B, integration_steps=200)
    assert explanation.baseline_score is not None
    total = explanation.first.integrated.sum() + explanation.second.integrated.sum()
    difference = explanation.score - explanation.baseline_score
    assert abs(difference) > 1e-2, "there is something to explain"
    if head == "cosine" and pooling not in ("max", "mean_max"):
        assert total == pytest.approx(difference, rel=1e-3)
    else:  # a maximum and |u - v| have kinks, and the midpoint rule is off by a little in the steps that hold one
        assert total == pytest.approx(difference, abs=4e-3 + 0.02 * abs(difference))
    coarse = model.explain(A, B, integration_steps=np.int64(1))
    assert coarse.first.integrated.shape == (5,)


def test_the_baseline_is_texts_of_zero_embeddings(make_model: Build) -> None:
    model = make_model()
    explanation = model.explain(A, B, integration_steps=1)
    zero = copy.deepcopy(model.model)
    nn.init.zeros_(zero.encoder.embedding.weight)
    expected = float(zero.eval()(pack(model.tokenizer.encode([A, B]))).score.detach())
    assert explanation.baseline_score == pytest.approx(expected, abs=1e-6)
    assert model.explain(A, B).baseline_score is None
    assert model.explain(A, B).first.integrated is None


def test_alignment_is_the_cosine_of_outputs(make_model: Build) -> None:
    model = make_model(num_layers=2)
    model.model.eval()
    encoder = model.model.encoder
    outputs = []
    for text in (A, B):
        ids = model.tokenizer.encode([text])
        rows = pack(ids)._replace(data=encoder.embedding(torch.tensor(ids[0])))
        outputs.append(encoder.recurrent(rows)[0].data.detach())
    expected = nn.functional.cosine_similarity(outputs[0][:, None], outputs[1][None], dim=2)
    np.testing.assert_allclose(model.explain(A, B).alignment, expected.numpy(), atol=1e-6)
    np.testing.assert_allclose(np.diag(model.explain(A, A).alignment), 1.0, atol=1e-6)


@pytest.mark.parametrize("head", get_args(HeadName))
@pytest.mark.parametrize("pooling", POOLINGS)
def test_edges_are_defined(make_model: Build, pooling: str, head: str) -> None:
    model = make_model(pooling=pooling, head=head, normalize=True)
    for a, b in (("", ""), ("", A), ("a", "a"), (A, A), ("zzz", "\ud800\0"), ("一只猫", "a")):
        explanation = model.explain(a, b, integration_steps=2)
        assert explanation.score == pytest.approx(float(model.score([a], [b])[0]), abs=1e-6)
        for text in (explanation.first, explanation.second):
            for values in (text.pooling, text.gradient, text.integrated):
                assert values.shape == (len(text.tokens),)
                assert np.isfinite(values).all()
        assert np.isfinite(explanation.alignment).all()
        assert explanation.cosine_shares.sum() == pytest.approx(explanation.cosine, abs=1e-5)


def test_zero_embeddings_are_defined(make_model: Build) -> None:
    model = make_model(head="cosine", pooling="mean")
    for parameter in model.model.parameters():
        nn.init.zeros_(parameter)
    explanation = model.explain(A, B, integration_steps=1)
    assert (explanation.score, explanation.cosine, explanation.baseline_score) == (0.0, 0.0, 0.0)
    assert not explanation.alignment.any()
    assert not explanation.cosine_shares.any()


def test_an_empty_text_is_one_unknown_token(make_model: Build) -> None:
    text = make_model().explain("", A).first
    assert (text.tokens, text.offsets, text.word_numbers, text.truncated) == (["[UNK]"], [(0, 0)], [0], False)
    assert [word.text for word in text.words] == [""]


def test_long_texts_are_cut_as_the_model_cuts_them(make_model: Build) -> None:
    model = make_model(max_tokens=3)
    text = model.explain(A, B).first
    assert (text.tokens, text.truncated) == (["a", "man", "plays"], True)
    assert len(text.words) == len(text.gradient) == 3
    assert model.explain("a man", B).first.truncated is False


def test_ten_thousand_tokens(make_model: Build) -> None:
    model = make_model(max_tokens=20_000, pooling="mean_max")
    explanation = model.explain("a man " * 5_000, A)
    assert len(explanation.first.tokens) == len(explanation.first.words) == 10_000
    assert explanation.alignment.shape == (10_000, 5)
    assert explanation.cosine_shares.sum() == pytest.approx(explanation.cosine, abs=1e-4)
    assert np.isfinite(explanation.first.gradient).all()


def test_words_are_their_pieces_together(make_model: Build) -> None:
    training = ["the dog runs unbelievably", "一只猫在睡觉"] * 3
    tokenizer = Tokenizer.train(training, kind="subword", vocabulary_size=45)
    base = make_model()
    config = base.config.model_copy(update={"vocabulary_size": tokenizer.vocabulary_size})
    model = SimilarityModel(type(base.model).from_config(config), tokenizer, config=config)
    text = model.explain("The DOG's unbelievable, 猫在", A, integration_steps=1).first
    assert len(text.tokens) > len(text.words)
    assert [word.text for word in text.words][:2] == ["The", "DOG"]
    assert [word.text for word in text.words][-2:] == ["猫", "在"]
    assert [text.text[word.start : word.end] for word in text.words] == [word.text for word in text.words]
    assert "unbelievable" in [word.text for word in text.words]
    for name in ("pooling", "gradient", "integrated"):
        of_words = sum(getattr(word, name) for word in text.words)
        assert of_words == pytest.approx(float(getattr(text, name).sum()), abs=1e-5)
    place = [word.text for word in text.words].index("unbelievable")
    pieces = [index for index, number in enumerate(text.word_numbers) if number == place]
    assert len(pieces) > 1
    assert text.words[place].gradient == pytest.approx(float(text.gradient[pieces].sum()), abs=1e-6)


def test_what_it_leaves_alone(make_model: Build, platt: Calibration) -> None:
    model = make_model(calibration=platt, word_dropout=0.5, embedding_dropout=0.5).freeze(watched=False)
    before = model.fingerprint
    model._model.train()
    model._model.encoder.embedding_dropout.eval()
    with torch.inference_mode():
        explanation = model.explain(A, B)
    assert model._model.training, "a call leaves the mode as it was"
    assert not model._model.encoder.embedding_dropout.training, "that of each part"
    assert not model._watch.watched, "nobody else has got hold of the model"
    assert all(parameter.grad is None for parameter in model._model.parameters())
    assert explanation.score == pytest.approx(float(model.score([A], [B])[0]), abs=1e-6)
    assert explanation.probability == pytest.approx(float(model.probability([A], [B])[0]), abs=1e-6)
    assert make_model().explain(A, B).probability is None
    assert SimilarityModel(model.model, model.tokenizer, config=model.config).fingerprint == before


def test_a_low_precision_model_is_explained_in_float32(make_model: Build) -> None:
    exact = make_model().explain(A, B)
    frozen = make_model().freeze("int8").explain(A, B)
    assert np.array_equal(frozen.first.gradient, exact.first.gradient)
    assert frozen.score == exact.score


def test_swapping_the_texts_swaps_the_explanation(make_model: Build) -> None:
    there, back = make_model().explain(A, B), make_model().explain(B, A)
    np.testing.assert_allclose(there.first.gradient, back.second.gradient, atol=1e-6)
    np.testing.assert_allclose(there.second.pooling, back.first.pooling, atol=1e-6)
    np.testing.assert_allclose(there.alignment, back.alignment.T, atol=1e-6)


@pytest.mark.parametrize("steps", [-1, 1.5, "2", None])
def test_wrong_arguments_have_a_sentence(make_model: Build, steps: object) -> None:
    with pytest.raises(ValueError, match="integration_steps must be an integer, 0 or more, got"):
        make_model().explain(A, B, integration_steps=steps)
    with pytest.raises(ValueError, match=r"b\[0\] must be a str, got 3"):
        make_model().explain(A, 3)


@pytest.fixture(scope="module", params=["max", "mean_max"])
def deletions(request: pytest.FixtureRequest) -> list[tuple[Explanation, np.ndarray]]:
    """Explanations of demo pairs by a trained model, and what the deletion of each token does to the score."""
    model = train_on_demo(request.param, "mlp")
    test = demo_pairs("test", language="en")
    pairs = list(zip(test.sentences1, test.sentences2, strict=True))[:60]
    found = []
    for a, b in pairs:
        ids, other = model.tokenizer.encode([a, b])
        without = [ids[:place] + ids[place + 1 :] for place in range(len(ids))]
        vectors = model.encode_tokens([ids, *without, other])
        scores = model.score_embeddings(vectors[:-1], vectors[-1:].expand(len(vectors) - 1, -1))
        found.append((model.explain(a, b, integration_steps=10), np.abs(scores[1:] - scores[0])))
    return found


@pytest.mark.parametrize("name", ["pooling", "gradient", "integrated"])
def test_what_counts_most_matters_more_than_what_counts_least(
    deletions: list[tuple[Explanation, np.ndarray]], name: str
) -> None:
    """The honest question to any attribution: take the token away, and see what the score does."""
    most, least = [], []
    for explanation, change in deletions:
        size = np.abs(getattr(explanation.first, name))
        most.append(change[size.argmax()])
        least.append(change[size.argmin()])
    assert np.mean(most) > 1.5 * np.mean(least), (name, np.mean(most), np.mean(least))
