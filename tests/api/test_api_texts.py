"""Texts and bodies nobody asked for: an answer in shape, never a 5xx."""

import base64
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.schemas.native import SimilarityResponse
from tests.api.dialects import REQUESTS, check_shape, refused, with_texts

JSON = {"content-type": "application/json"}
# st.text leaves surrogates out by default; JSON can carry halves of them.
ANY_TEXT = st.text(st.characters(codec=None), max_size=60) | st.sampled_from(
    ["", " ", "\x00", "\ud800", "\udfff\ud800", "e\u0301" * 9, "\u202eabc", "\U0001f469\u200d\U0001f467", "你好 world",
     "x" * 5000, "\r\n", "\ufeff"]
)  # fmt: skip
TEXTS = ANY_TEXT | st.lists(ANY_TEXT, min_size=1, max_size=5)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def post(client, path, fields):
    return client.post(path, content=json.dumps(fields).encode(), headers=JSON)


@FAST
@given(sentence1=TEXTS, sentence2=TEXTS)
def test_any_texts_are_scored(client, sentence1, sentence2):
    response = post(client, "/v1/similarity", {"sentence1": sentence1, "sentence2": sentence2})
    lengths = {len(texts) for texts in (sentence1, sentence2) if isinstance(texts, list)}
    if len(lengths) == 2:
        assert response.status_code == 422
        return
    assert response.status_code == 200
    answer = SimilarityResponse.model_validate(response.json())
    assert [result.index for result in answer.results] == list(range(max(lengths, default=1)))
    assert all(0 <= result.score <= 1 for result in answer.results)


@FAST
@given(texts=TEXTS)
def test_any_texts_are_embedded(client, texts):
    response = post(client, "/v1/embeddings", {"model": "tiny", "input": texts, "encoding_format": "base64"})
    assert response.status_code == 200
    for entry in response.json()["data"]:
        assert np.isfinite(np.frombuffer(base64.b64decode(entry["embedding"]), dtype="<f4")).all()


@pytest.mark.parametrize("path", REQUESTS)
@FAST
@given(text=ANY_TEXT)
def test_any_text_on_every_route(client, path, text):
    assert post(client, path, with_texts(REQUESTS[path], text)).status_code == 200


@pytest.mark.parametrize("path", REQUESTS)
@FAST
@given(data=st.data())
def test_any_fields(client, path, data):
    known = list(client.app.openapi()["paths"][path]["post"]["requestBody"]["content"].values())
    name = known[0]["schema"]["$ref"].rpartition("/")[2]
    fields = list(client.app.openapi()["components"]["schemas"][name]["properties"])
    body = data.draw(st.dictionaries(st.sampled_from(fields) | ANY_TEXT, ANY_JSON | st.just("tiny")))
    body |= data.draw(st.sampled_from([{}, REQUESTS[path]]))
    response = post(client, path, body)
    assert response.status_code < 500 or body.get("deadline_ms")
    if response.status_code != 200:
        check_shape(response, path, response.status_code)


@pytest.mark.parametrize("path", REQUESTS)
@FAST
@given(body=st.binary(max_size=200) | ANY_JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body(client, path, body):
    response = client.post(path, content=body, headers=JSON)
    assert 400 <= response.status_code < 500
    check_shape(response, path, response.status_code)


@pytest.mark.parametrize("path", REQUESTS)
def test_a_megabyte_of_one_character(client, path):
    response = client.post(path, json=with_texts(REQUESTS[path], "x" * 2**20))
    assert "1048576 characters" in check_shape(response, path, refused(path))


def test_the_longest_sentence_is_cut_and_said_so(client):
    response = client.post("/v1/similarity", json={"sentence1": "dog " * 25_000, "sentence2": "狗" * 100_000})
    assert response.status_code == 200
    assert response.json()["results"][0]["truncated"] == [True, True]
    assert response.headers["x-truncated-inputs"] == "2"
