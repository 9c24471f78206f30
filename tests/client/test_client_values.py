"""Both clients against a live server: what they bring is the model's own."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from simlstm.client import Client, InvalidRequestError, NotFoundError
from tests.api.live import LiveServer
from tests.api.tiny import SENTENCES, build_model


def test_one_with_one(ask, model):
    answer = ask.call("similarity", SENTENCES[0], SENTENCES[1])
    np.testing.assert_array_equal(answer.scores, model.score(SENTENCES[:1], SENTENCES[1:2]))
    np.testing.assert_array_equal(answer.probabilities, model.probability(SENTENCES[:1], SENTENCES[1:2]))
    assert answer.model == "tiny"
    assert answer.usage.total_tokens == sum(len(ids) for ids in model.tokenizer.encode(SENTENCES[:2]))
    assert answer.results[0].is_match == bool(answer.scores[0] >= 0.5)


@pytest.mark.parametrize("second", [SENTENCES, tuple(SENTENCES), np.array(SENTENCES)], ids=["list", "tuple", "array"])
def test_one_with_many_and_many_with_one(ask, model, second):
    expected = model.score(SENTENCES[:1] * len(SENTENCES), SENTENCES)
    # Another batch than the model's own call may change the last bits of float32 sums; so in the tests below.
    np.testing.assert_allclose(ask.call("similarity", SENTENCES[0], second).scores, expected, atol=1e-6)
    np.testing.assert_allclose(ask.call("similarity", second, SENTENCES[0]).scores, expected, atol=1e-6)


def test_pairwise_with_what_is_cut_and_unknown(ask, model):
    first, second = ["dog " * 13, "zzz"], ["dog", "dog park"]
    answer = ask.call("similarity", first, second, deadline_ms=20_000)
    np.testing.assert_allclose(answer.scores, model.score(first, second), atol=1e-6)
    assert [result.truncated for result in answer.results] == [(True, False), (False, False)]
    assert [result.unknown_ratio for result in answer.results] == [(0.0, 0.0), (1.0, 0.0)]


def test_a_model_without_calibration(kind):
    with LiveServer(build_model(calibrated=False)) as server:
        answer = kind(server.url).call("similarity", "dog", ["dog", "park"])
    assert answer.probabilities is None
    assert answer.results[1].is_match is None


def test_embeddings(ask, model):
    np.testing.assert_array_equal(ask.call("embed", SENTENCES), model.encode(SENTENCES))
    empty = ask.call("embed", [])
    assert empty.shape == (0, model.embedding_size)
    assert empty.dtype == np.float32


def test_scores(ask, model):
    second = SENTENCES[::-1]
    scores = ask.call("score", SENTENCES, second)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, model.score(SENTENCES, second), atol=1e-6)
    assert ask.call("score", [], []).shape == (0,)


@pytest.mark.parametrize(
    "limits",
    [{"max_request_sentences": 7}, {"max_body_bytes": 1024, "max_sentence_characters": 1000}],
    ids=["sentences", "bytes"],
)
def test_what_is_beyond_a_limit_is_split_in_order(kind, model, limits):
    texts = [f"{SENTENCES[number % 6]} 天气 \U0001f469\ud800 {'dog ' * (number % 5)}" for number in range(50)]
    with LiveServer(model, **limits) as server:
        client = kind(server.url)
        np.testing.assert_allclose(client.call("embed", texts), model.encode(texts), atol=1e-6)
        np.testing.assert_allclose(client.call("score", texts, texts[::-1]), model.score(texts, texts[::-1]), atol=1e-6)


def test_a_text_that_no_request_can_hold_is_the_servers_to_refuse(kind, model):
    with (
        LiveServer(model, max_body_bytes=1024, max_sentence_characters=1000) as server,
        pytest.raises(InvalidRequestError, match="1024 bytes allowed") as caught,
    ):
        kind(server.url).call("embed", ["dog", "x" * 1100, "park"])
    assert caught.value.status == 413


def test_models_and_info(ask, model):
    (served,) = ask.call("models")
    info = ask.call("info")
    assert served.id == info.model_id == "tiny"
    assert info.model_sha == model.fingerprint
    assert info.embedding_size == model.embedding_size
    assert info.score.calibrated
    assert info.score.threshold == 0.5


def test_another_model_is_not_found(ask):
    with pytest.raises(NotFoundError, match="served: 'tiny'") as caught:
        ask.call("embed", ["dog"], model="other")
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


def test_one_client_in_many_threads(server, model):
    pairs = [(first, second) for first in SENTENCES for second in SENTENCES]
    with Client(server.url) as client, ThreadPoolExecutor(8) as pool:
        scores = list(pool.map(lambda pair: client.similarity(*pair).scores[0], pairs))
    np.testing.assert_allclose(scores, model.score(*map(list, zip(*pairs, strict=True))), atol=1e-6)


def test_the_client_needs_no_torch():
    program = (
        "import sys, simlstm.client; sys.exit(any(name in sys.modules for name in ('torch', 'tokenizers', 'api')))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
