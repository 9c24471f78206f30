"""Text Embeddings Inference's routes: shapes, truncation, scaling, headers."""

import dataclasses
import json

import numpy as np
import pytest

from tests.api.dialects import check_shape
from tests.api.tiny import SENTENCES, build_model

LONG = "dog " * 13  # max_tokens is 12
SOURCE = {"source_sentence": SENTENCES[0], "sentences": SENTENCES[1:]}


def floats(response):
    assert response.status_code == 200, response.text
    return np.array(response.json(), dtype=np.float32)


@pytest.mark.parametrize("path", ["/", "/embed"])
@pytest.mark.parametrize("inputs", [SENTENCES[0], SENTENCES])
def test_embeddings_are_nested_and_of_length_one(client, model, path, inputs):
    rows = floats(client.post(path, json={"inputs": inputs}))
    own = model.encode([inputs] if isinstance(inputs, str) else inputs)
    np.testing.assert_allclose(rows, own / np.linalg.norm(own, axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_array_equal(floats(client.post(path, json={"inputs": inputs, "normalize": False})), own)


def test_a_large_answer_is_the_same(serve):
    model = build_model(hidden_size=64)
    texts = [f"dog {number}" for number in range(600)]  # 600 * 128 floats are written outside of the event loop
    rows = floats(serve(model).post("/embed", json={"inputs": texts, "normalize": False}))
    # Another batch order than encode's may change the last bits of float32 sums.
    np.testing.assert_allclose(rows, model.encode(texts), atol=1e-6)


def test_a_zero_vector_stays_zero(serve):
    model = build_model()
    client = serve(model)
    service = client.app.state.service
    compute = service.compute

    async def zeroed(request, facts, work, **options):
        outcome = await compute(request, facts, work, **options)
        return dataclasses.replace(outcome, embeddings=outcome.embeddings * np.array([[0], [1]], dtype=np.float32))

    service.compute = zeroed
    rows = floats(client.post("/embed", json={"inputs": ["dog", "park"]}))
    np.testing.assert_array_equal(rows[0], np.zeros(model.embedding_size, np.float32))
    assert np.linalg.norm(rows[1]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("path", ["/", "/similarity"])
@pytest.mark.parametrize(
    "parameters", [{}, {"parameters": None}, {"parameters": {}}, {"parameters": {"truncate": True}}]
)
def test_similarity_is_the_score_in_the_order_of_the_request(client, model, path, parameters):
    scores = floats(client.post(path, json={"inputs": SOURCE} | parameters))
    np.testing.assert_allclose(scores, model.score([SENTENCES[0]] * 5, SENTENCES[1:]), atol=1e-6)


@pytest.mark.parametrize("return_text", [None, False, True])
def test_rerank_is_descending_and_in_zero_to_one(client, model, return_text):
    fields = {"query": SENTENCES[0], "texts": SENTENCES}
    ranks = client.post("/rerank", json=fields | {"return_text": return_text}).json()
    scores = model.score([SENTENCES[0]] * len(SENTENCES), SENTENCES)
    assert [rank["index"] for rank in ranks] == np.argsort(-scores, kind="stable").tolist()
    np.testing.assert_allclose([rank["score"] for rank in ranks], np.sort(scores)[::-1], atol=1e-6)
    texts = [SENTENCES[rank["index"]] if return_text else None for rank in ranks]
    assert [rank.get("text") for rank in ranks] == texts
    assert all(("text" in rank) is bool(return_text) for rank in ranks)


def test_raw_scores_are_the_models_own(serve):
    model = build_model(head="cosine")
    client = serve(model)
    fields = {"query": SENTENCES[0], "texts": SENTENCES}
    own = np.sort(model.score([SENTENCES[0]] * len(SENTENCES), SENTENCES))[::-1]
    raw, mapped = (
        [rank["score"] for rank in client.post("/rerank", json=fields | {"raw_scores": raw}).json()]
        for raw in (True, False)
    )
    np.testing.assert_allclose(raw, own, atol=1e-6)
    np.testing.assert_allclose(mapped, (own + 1) / 2, atol=1e-6)
    assert all(0 <= score <= 1 for score in mapped)


def test_equal_scores_keep_the_order_of_the_request(serve):
    client = serve(build_model(head="cosine"))
    ranks = client.post("/rerank", json={"query": "dog", "texts": ["park", "dog"] * 20}).json()
    assert [rank["index"] for rank in ranks] == [*range(1, 40, 2), *range(0, 40, 2)]


@pytest.mark.parametrize(
    ("path", "fields", "places"),
    [
        ("/embed", {"inputs": ["dog", LONG]}, ["inputs.1"]),
        ("/embed", {"inputs": LONG}, ["inputs"]),
        ("/", {"inputs": LONG}, ["inputs"]),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["b", LONG]}}, ["inputs.sentences.1"]),
        ("/similarity", {"inputs": {"source_sentence": LONG, "sentences": ["b"]}}, ["inputs.source_sentence"]),
        ("/rerank", {"query": LONG, "texts": ["b"]}, ["query"]),
        ("/rerank", {"query": "a", "texts": ["b", LONG]}, ["texts.1"]),
    ],
)
def test_what_is_too_long_is_cut_or_refused(client, path, fields, places):
    def asked(truncate):
        told = {"parameters": {"truncate": truncate}} if path == "/similarity" else {"truncate": truncate}
        return client.post(path, json=fields | told)

    for truncate in (None, True):
        response = asked(truncate)
        assert response.status_code == 200
        assert response.headers["x-truncated-inputs"] == "1"
    message = check_shape(asked(False), path, 422)
    assert message == f"{places[0]} has more than the 12 tokens allowed, and truncate is false"


def test_truncate_false_lets_pass_what_fits(client):
    response = client.post("/embed", json={"inputs": ["dog " * 12], "truncate": False})
    assert response.status_code == 200
    assert response.headers["x-truncated-inputs"] == "0"


@pytest.mark.parametrize("direction", [None, "Left", "Right", "left", "right"])
def test_the_direction_of_truncation(client, model, direction):
    text = "park " + "dog " * 11 + "guitar"
    left = direction in ("Left", "left")
    kept = "dog " * 11 + "guitar" if left else "park " + "dog " * 11
    fields = {"inputs": text, "truncation_direction": direction, "normalize": False}
    np.testing.assert_array_equal(floats(client.post("/embed", json=fields)), model.encode([kept]))


def test_tokens_have_their_places(client, model):
    text = "Dogs: a dog 🐕 runs 天气"
    (tokens, empty) = client.post("/tokenize", json={"inputs": [text, ""]}).json()
    (own,) = model.tokenizer.tokenize([text])
    assert [token["id"] for token in tokens] == own.ids
    assert [(token["start"], token["stop"]) for token in tokens] == own.offsets
    assert all(token["text"] == text[token["start"] : token["stop"]] for token in tokens)
    assert not any(token["special"] for token in tokens)
    assert empty == [{"id": model.tokenizer.unknown_id, "text": "", "special": False, "start": 0, "stop": 0}]


def test_tokenize_shows_what_would_be_cut(client):
    assert len(client.post("/tokenize", json={"inputs": LONG, "add_special_tokens": False}).json()[0]) == 13


@pytest.mark.parametrize(
    ("path", "fields", "message"),
    [
        ("/embed", {"inputs": "a", "prompt_name": "query"}, "this model has no prompts"),
        ("/", {"inputs": SOURCE, "parameters": {"prompt_name": "query"}}, "this model has no prompts"),
        ("/tokenize", {"inputs": "a", "prompt_name": "query"}, "this model has no prompts"),
        ("/embed", {"inputs": "a", "dimensions": 4}, "dimensions is 4; this model's embeddings have 16"),
        ("/embed", {"inputs": [[1, 2]]}, "inputs: item 0 is an array; a string is needed"),
        ("/embed", {"inputs": "a", "truncation_direction": "up"}, "'Left', 'Right'"),
        ("/embed", {"inputs": SOURCE}, "it is an object; a string or an array of strings is needed"),
        ("/", {"inputs": {"sentences": ["a"]}}, "source_sentence is missing and sentences is an array"),
        ("/", {"inputs": {"source_sentence": 5, "sentences": ["a"]}}, "source_sentence is a number"),
        ("/", {"inputs": {"source_sentence": "a", "sentences": "b"}}, "it is a string; an array of strings"),
        ("/", {"inputs": {"source_sentence": "a", "sentences": ["b", 5]}}, "item 1 is a number"),
        ("/similarity", {"inputs": {"source_sentence": "a"}}, "inputs.sentences is missing"),
        ("/rerank", {"query": "a", "texts": "b"}, "texts: it is a string; an array of strings is needed"),
    ],
)
def test_a_bad_request_says_what_is_wrong(client, path, fields, message):
    assert message in check_shape(client.post(path, json=fields), path, 422)


def test_dimensions_may_repeat_the_size(client, model):
    fields = {"inputs": "a", "dimensions": model.embedding_size, "of_another_version": True}
    assert client.post("/embed", json=fields).status_code == 200


def test_headers_of_times_and_sizes(client):
    response = client.post("/embed", content=json.dumps({"inputs": ["狗 dog", LONG]}), headers={
        "content-type": "application/json"})  # fmt: skip
    headers = response.headers
    assert headers["x-compute-type"] == "cpu"
    assert headers["x-compute-characters"] == str(5 + len(LONG))
    assert headers["x-compute-tokens"] == str(2 + 12)
    names = ("compute-time", "total-time", "tokenization-time", "queue-time", "inference-time")
    times = {name: int(headers[f"x-{name}"]) for name in names}
    assert all(value >= 0 for value in times.values())
    assert times["compute-time"] == times["total-time"] < 60_000


def test_tokenizing_is_bounded_in_characters(client):
    response = client.post("/tokenize", json={"inputs": ["!" * 40_000, "!" * 30_000]})
    assert "70000 characters came to be tokenized; 65536 are allowed" in check_shape(response, "/tokenize", 422)
