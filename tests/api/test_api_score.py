"""POST /v1/score and /score: vLLM's shapes."""

import time

import numpy as np
import pytest

from api.schemas.score import ScoreResponse
from tests.api.dialects import check_shape
from tests.api.tiny import SENTENCES, build_model

PATHS = ("/v1/score", "/score")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (SENTENCES[0], SENTENCES[1]),
        (SENTENCES[0], SENTENCES[1:]),
        (SENTENCES[:1], SENTENCES[1:]),
        (SENTENCES[:3], SENTENCES[3:]),
        (SENTENCES[:1], SENTENCES[1]),
    ],
)
def test_scores_are_the_models_own(client, model, path, first, second):
    response = client.post(path, json={"model": "tiny", "text_1": first, "text_2": second})
    answer = ScoreResponse.model_validate(response.json(), extra="forbid")
    left, right = ([texts] if isinstance(texts, str) else texts for texts in (first, second))
    pairs = left * len(right) if len(left) == 1 else left
    assert [entry.index for entry in answer.data] == list(range(len(right)))
    np.testing.assert_allclose([entry.score for entry in answer.data], model.score(pairs, right), atol=1e-6)
    tokens = sum(len(ids) for ids in model.tokenizer.encode([*left, *right]))
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens, answer.usage.completion_tokens) == (
        tokens,
        tokens,
        0,
    )
    assert answer.id == f"score-{response.headers['x-request-id']}"
    assert answer.model == "tiny"
    assert abs(answer.created - time.time()) < 60


@pytest.mark.parametrize("path", PATHS)
def test_scores_are_not_mapped(serve, path):
    model = build_model(head="cosine")
    answer = serve(model).post(path, json={"text_1": SENTENCES[0], "text_2": SENTENCES[3]}).json()
    own = float(model.score(SENTENCES[:1], SENTENCES[3:4])[0])
    assert answer["data"][0]["score"] == pytest.approx(own, abs=1e-6)


@pytest.mark.parametrize("path", PATHS)
def test_fields_of_other_servers_are_ignored_and_cut_texts_counted(client, path):
    fields = {"text_1": "dog " * 13, "text_2": ["a", "dog " * 12], "truncate_prompt_tokens": 5, "priority": 1}
    response = client.post(path, json=fields)
    assert response.status_code == 200
    assert response.headers["x-truncated-inputs"] == "1"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text_1": ["a", "b"], "text_2": ["c"]}, "text_1 has 2 texts and text_2 has 1; one text_1 for all of text_2"),
        ({"text_1": ["a", "b"], "text_2": "c"}, "text_1 has 2 texts and text_2 has 1"),
        ({"text_1": ["a", "b"], "text_2": ["c"] * 3}, "text_1 has 2 texts and text_2 has 3"),
        ({"text_1": "a"}, "text_2 is missing"),
        ({"text_1": "a", "text_2": [5]}, "text_2: item 0 is a number; a string is needed"),
    ],
)
def test_a_bad_request_says_what_is_wrong(client, path, fields, message):
    assert message in check_shape(client.post(path, json=fields), path, 400)
