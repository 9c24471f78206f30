"""POST /v1/similarity/matrix: every sentence against every other."""

import numpy as np
import pytest

from api.schemas.native import MatrixResponse
from tests.api.dialects import check_shape
from tests.api.tiny import SENTENCES, build_model

URL = "/v1/similarity/matrix"
FIRST, SECOND = SENTENCES[:2], SENTENCES[2:]


def test_scores_and_probabilities_are_the_models_own(client, model):
    response = client.post(URL, json={"sentences1": FIRST, "sentences2": SECOND, "model": "tiny"})
    answer = MatrixResponse.model_validate(response.json(), extra="forbid")
    rows = [model.score([first] * len(SECOND), SECOND) for first in FIRST]
    np.testing.assert_allclose(answer.scores, rows, atol=1e-6)
    np.testing.assert_allclose(answer.probabilities, [model.probability_of(row) for row in rows], atol=1e-6)
    assert answer.model == "tiny"


def test_a_score_reads_the_same_as_in_the_other_route(client):
    matrix = client.post(URL, json={"sentences1": FIRST[:1], "sentences2": SECOND}).json()
    results = client.post("/v1/similarity", json={"sentence1": FIRST[0], "sentence2": SECOND}).json()["results"]
    assert matrix["scores"] == [[result["score"] for result in results]]
    assert matrix["probabilities"] == [[result["probability"] for result in results]]


def test_what_is_said_of_each_sentence(client):
    response = client.post(URL, json={"sentences1": ["dog " * 13, ""], "sentences2": ["dog zebra", "dog", "park"]})
    answer = response.json()
    assert answer["truncated"] == {"sentences1": [True, False], "sentences2": [False, False, False]}
    assert answer["unknown_ratio"] == {"sentences1": [0.0, 1.0], "sentences2": [0.5, 0.0, 0.0]}
    assert response.headers["x-truncated-inputs"] == "1"
    assert answer["usage"] == {"prompt_tokens": 12 + 1 + 2 + 1 + 1, "total_tokens": 17}


def test_without_calibration_there_are_no_probabilities(serve):
    answer = serve(build_model(calibrated=False)).post(URL, json={"sentences1": FIRST, "sentences2": SECOND}).json()
    assert answer["probabilities"] is None


def test_the_largest_matrix_is_answered_and_no_larger_one(client, model):
    many = [SENTENCES[number % 6] for number in range(256)]
    answer = client.post(URL, json={"sentences1": many, "sentences2": many}).json()
    # It is written outside of the event loop, in pieces.
    own = np.array([model.score([first] * 6, SENTENCES) for first in SENTENCES])
    index = np.arange(256) % 6
    np.testing.assert_allclose(answer["scores"], own[np.ix_(index, index)], atol=1e-6)
    response = client.post(URL, json={"sentences1": many, "sentences2": [*many, "dog"]})
    message = check_shape(response, URL, 422)
    assert message == "256 × 257 sentences are 65792 pairs; 65536 are allowed"
    assert response.json()["error"]["code"] == "too_many_pairs"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sentences1": "a"}, "sentences1: it is a string; an array of strings is needed"),
        ({"sentences1": ["a", None]}, "sentences1: item 1 is null"),
        ({"explain": True}, "explain is not a field of this request"),
        ({"deadline_ms": 10**9}, "at most 60000 is allowed"),
        ({f"x{number}": 1 for number in range(100)}, "the known ones are sentences1, sentences2, model, deadline_ms"),
    ],
)
def test_a_bad_request_says_what_is_wrong(client, fields, message):
    response = client.post(URL, json={"sentences1": ["a"], "sentences2": ["b"]} | fields)
    assert message in check_shape(response, URL, 422)
