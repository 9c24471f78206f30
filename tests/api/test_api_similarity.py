"""POST /v1/similarity: shapes and values."""

import numpy as np
import pytest

from api.schemas.native import SimilarityResponse
from tests.api.tiny import SENTENCES, build_model

URL = "/v1/similarity"


def test_one_against_one(client, model):
    response = client.post(URL, json={"sentence1": SENTENCES[0], "sentence2": SENTENCES[1]})
    assert response.status_code == 200
    answer = response.json()
    SimilarityResponse.model_validate(answer, strict=False)
    score = model.score([SENTENCES[0]], [SENTENCES[1]])[0]
    tokens = sum(len(ids) for ids in model.tokenizer.encode(SENTENCES[:2]))
    assert answer == {
        "model": "tiny",
        "results": [
            {
                "index": 0,
                "score": pytest.approx(float(score), abs=1e-6),
                "probability": pytest.approx(float(model.probability_of([score])[0]), abs=1e-6),
                "is_match": bool(score >= 0.5),
                "truncated": [False, False],
                "unknown_ratio": [0.0, 0.0],
            }
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    assert response.headers["x-truncated-inputs"] == "0"


@pytest.mark.parametrize("turned", [False, True])
def test_one_against_many_keeps_the_order(client, model, turned):
    one, many = SENTENCES[0], SENTENCES[:0:-1]
    fields = {"sentence1": many, "sentence2": one} if turned else {"sentence1": one, "sentence2": many}
    answer = client.post(URL, json=fields).json()
    assert [result["index"] for result in answer["results"]] == list(range(len(many)))
    scores = [result["score"] for result in answer["results"]]
    # The head is symmetric; float32 sums in another batch may differ in the last bits.
    np.testing.assert_allclose(scores, model.score([one] * len(many), many), atol=1e-6)
    # The single sentence counts once.
    assert answer["usage"]["prompt_tokens"] == sum(len(ids) for ids in model.tokenizer.encode([one, *many]))


def test_pairwise(client, model):
    first, second = SENTENCES[:3], SENTENCES[3:]
    answer = client.post(URL, json={"sentence1": first, "sentence2": second}).json()
    scores = [result["score"] for result in answer["results"]]
    np.testing.assert_allclose(scores, model.score(first, second), atol=1e-6)


def test_unknown_ratio_and_truncation_belong_to_their_sentence(client):
    long = "dog " * 13  # max_tokens is 12
    answer = client.post(URL, json={"sentence1": ["", long], "sentence2": ["dog", "zebra dog"]})
    first, second = answer.json()["results"]
    assert (first["truncated"], first["unknown_ratio"]) == ([False, False], [1.0, 0.0])
    assert (second["truncated"], second["unknown_ratio"]) == ([True, False], [0.0, 0.5])
    assert answer.headers["x-truncated-inputs"] == "1"
    assert answer.json()["usage"]["prompt_tokens"] == 1 + 12 + 1 + 2


def test_without_calibration_there_is_no_verdict(serve):
    client = serve(build_model(calibrated=False))
    (result,) = client.post(URL, json={"sentence1": "a", "sentence2": "b"}).json()["results"]
    assert result["probability"] is None
    assert result["is_match"] is None
    assert client.get("/info").json()["score"]["threshold"] is None


def test_the_verdict_is_inclusive_at_the_threshold(serve):
    model = build_model()
    fields = {"sentence1": "dog", "sentence2": "park"}
    (result,) = serve(model).post(URL, json=fields).json()["results"]
    for shift, verdict in ((0.0, True), (1e-6, False)):
        model.calibration = model.calibration.model_copy(update={"threshold": result["score"] + shift})
        client = serve(model)
        assert client.post(URL, json=fields).json()["results"][0]["is_match"] is verdict


def test_scores_of_the_cosine_head_may_be_negative(serve):
    model = build_model(head="cosine")
    client = serve(model)
    assert client.get("/info").json()["score"]["range"] == [-1.0, 1.0]
    (result,) = client.post(URL, json={"sentence1": SENTENCES[0], "sentence2": SENTENCES[3]}).json()["results"]
    assert result["score"] == pytest.approx(float(model.score(SENTENCES[:1], SENTENCES[3:4])[0]), abs=1e-6)


def test_a_lone_surrogate_is_the_replacement_character(client):
    escaped = rb'{"sentence1": "dog \ud83d", "sentence2": "dog \ud83d\ude00"}'
    replaced = '{"sentence1": "dog \ufffd", "sentence2": "dog \U0001f600"}'.encode()
    headers = {"content-type": "application/json"}
    answers = [client.post(URL, content=body, headers=headers) for body in (escaped, replaced)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize(
    ("fields", "code", "message", "field"),
    [
        ({"sentence1": "a"}, "invalid_request", "sentence2 is missing", "sentence2"),
        ({"sentence1": "a", "sentence2": 5}, "invalid_request", "sentence2: it is a number; a string or an array of",
         "sentence2"),
        ({"sentence1": "a", "sentence2": ["b", None]}, "invalid_request", "sentence2: item 1 is null; a string is",
         "sentence2"),
        ({"sentence1": "a", "sentence2": "b", "sentence3": "c"}, "invalid_request", "sentence3 is not a field",
         "sentence3"),
        ({"sentence1": ["a", "b"], "sentence2": ["c"]}, "invalid_request", "2 sentences and sentence2 has 1", None),
        ({"sentence1": [], "sentence2": []}, "empty_input", "sentence1 is an empty array", "sentence1"),
        ({"sentence1": "a", "sentence2": "b" * 100_001}, "sentence_too_long", "100001 characters; 100000 are allowed",
         "sentence2"),
        ({"sentence1": "a", "sentence2": ["b"] * 4096}, "too_many_sentences", "4097 sentences in one request; 4096",
         "sentence1"),
        ({"sentence1": "a", "sentence2": "b", "deadline_ms": 0}, "invalid_request", "greater than or equal to 1",
         "deadline_ms"),
        ({"sentence1": "a", "sentence2": "b", "deadline_ms": "5"}, "invalid_request", "valid integer", "deadline_ms"),
        ({"sentence1": "a", "sentence2": "b", "deadline_ms": 10**9}, "deadline_too_long", "at most 60000",
         "deadline_ms"),
    ],
)  # fmt: skip
def test_a_bad_request_says_what_is_wrong(client, fields, code, message, field):
    response = client.post(URL, json=fields)
    assert response.status_code == 422
    error = response.json()["error"]
    assert error["code"] == code
    assert message in error["message"]
    assert error["field"] == field


def test_the_model_may_be_named(client):
    fields = {"sentence1": "a", "sentence2": "b"}
    for name in ({"model": "tiny"}, {"model": None}, {}):
        assert client.post(URL, json=fields | name).json()["model"] == "tiny"
    response = client.post(URL, json=fields | {"model": "other"})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"
    assert response.json()["error"]["field"] == "model"


def test_the_largest_request_is_answered(client):
    response = client.post(URL, json={"sentence1": ["dog"] * 2048, "sentence2": ["park"] * 2048})
    assert response.status_code == 200
    assert len(response.json()["results"]) == 2048


def test_many_unknown_fields_are_one_error(client):
    fields = {"sentence1": "dog", "sentence2": "park"} | {f"x{number}": 1 for number in range(1000)}
    response = client.post(URL, json=fields)
    assert response.status_code == 422
    message = response.json()["error"]["message"]
    assert "1002 fields came; the known ones are sentence1, sentence2, model, explain, deadline_ms" in message
    assert "more" not in message
