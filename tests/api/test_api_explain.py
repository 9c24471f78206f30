"""Explanations as JSON, and ``explain`` of POST /v1/similarity."""

import json

import numpy as np
import pytest

from api.explanations import MOST_ALIGNED, explanation_object
from api.schemas.explanation import ExplainedPair
from tests.api.dialects import check_shape
from tests.api.tiny import SENTENCES, build_model

URL = "/v1/similarity"


def check(found, explanation):
    answer = ExplainedPair.model_validate(found, extra="forbid")
    assert answer.score == pytest.approx(explanation.score, abs=1e-6)
    assert answer.cosine == pytest.approx(explanation.cosine, abs=1e-6)
    for sentence, text in ((answer.sentence1, explanation.first), (answer.sentence2, explanation.second)):
        assert [token.text for token in sentence.tokens] == text.tokens
        assert [(token.start, token.end) for token in sentence.tokens] == text.offsets
        assert [token.word for token in sentence.tokens] == text.word_numbers
        assert [token.pooling for token in sentence.tokens] == pytest.approx(text.pooling.tolist(), abs=1e-6)
        assert [token.gradient for token in sentence.tokens] == pytest.approx(text.gradient.tolist(), abs=1e-6)
        assert [(word.text, word.start, word.end) for word in sentence.words] == [
            (word.text, word.start, word.end) for word in text.words
        ]
        for name in ("pooling", "gradient"):
            sums = [getattr(word, name) for word in text.words]
            assert [getattr(word, name) for word in sentence.words] == pytest.approx(sums, abs=1e-6)
        assert sentence.truncated is text.truncated
    np.testing.assert_allclose(answer.alignment, explanation.alignment, atol=1e-4)


@pytest.mark.parametrize(("first", "second"), [SENTENCES[:2], SENTENCES[3:5], ("", "zebra"), ("dog " * 13, "a\ud800b")])
def test_the_object_says_what_the_explanation_says(model, first, second):
    explanation = model.explain(first, second)
    found = explanation_object(explanation)
    check(found, explanation)
    assert json.loads(json.dumps(found)) == found


def test_the_object_is_rounded(model):
    text = json.dumps(explanation_object(model.explain(*SENTENCES[:2]))["alignment"])
    assert all(len(number.strip("-[]").partition(".")[2]) <= 4 for number in text.split(", "))


def test_long_sentences_have_no_alignment():
    model = build_model(max_tokens=200)
    for words, aligned in ((128, True), (129, False)):
        found = explanation_object(model.explain("dog " * words, "park " * 128))
        assert (found["alignment"] is not None) is aligned
        assert len(found["sentence1"]["tokens"]) == words
    assert MOST_ALIGNED == 128 * 128


def test_each_pair_is_explained_where_it_is_asked_for(client, model):
    fields = {"sentence1": SENTENCES[0], "sentence2": SENTENCES[1:3]}
    results = client.post(URL, json=fields | {"explain": True}).json()["results"]
    for result, second in zip(results, SENTENCES[1:3], strict=True):
        check(result["explanation"], model.explain(SENTENCES[0], second))


def test_nothing_is_explained_unless_asked_for(client):
    for explain in ({}, {"explain": False}):
        (result,) = client.post(URL, json={"sentence1": "a", "sentence2": "b"} | explain).json()["results"]
        assert "explanation" not in result


def test_few_pairs_are_explained(client):
    fields = {"sentence1": "dog", "explain": True}
    assert client.post(URL, json=fields | {"sentence2": ["park"] * 16}).status_code == 200
    response = client.post(URL, json=fields | {"sentence2": ["park"] * 17})
    assert check_shape(response, URL, 422) == "explain came with 17 pairs; 16 are allowed"
    assert response.json()["error"]["field"] == "explain"
