"""What the clients send to the routes for many texts, and which answers they refuse; the other side is a script."""

import numpy as np
import pytest

from simlstm.client import InvalidAnswerError
from tests.client.live_answers import answering


def test_matrix(kind):
    with answering((200, {}, {"model": "m", "scores": [[0.5, 0.25]], "probabilities": None, "more": 1})) as script:
        matrix = kind(script.url).call("matrix", ("a",), ("b", "\ud800"), model="m", deadline_ms=9)
    assert script.bodies == [{"sentences1": ["a"], "sentences2": ["b", "\ufffd"], "model": "m", "deadline_ms": 9}]
    np.testing.assert_array_equal(matrix.scores, np.float32([[0.5, 0.25]]))
    assert matrix.scores.dtype == np.float32
    assert matrix.probabilities is None


@pytest.mark.parametrize("scores", [[], [[0.5]], [[0.5, 0.5], [0.5, 0.5]], [[0.5, float("inf")]], [["x", 0.5]]])
def test_a_matrix_of_another_shape(kind, scores):
    with answering((200, {}, {"model": "m", "scores": scores})) as script, pytest.raises(InvalidAnswerError):
        kind(script.url).call("matrix", ["a"], ["b", "c"])


def test_rerank(kind):
    results = [{"index": 1, "relevance_score": 0.75, "document": {"text": "c"}}, {"index": 0, "relevance_score": 0.5}]
    with answering((200, {}, {"id": "x", "results": results, "meta": {}})) as script:
        ranking = kind(script.url).call("rerank", "a", ["b", "c"], 2, model="m")
    assert script.bodies == [{"model": "m", "query": "a", "documents": ["b", "c"], "top_n": 2}]
    assert [(result.index, result.relevance_score) for result in ranking.results] == [(1, 0.75), (0, 0.5)]


@pytest.mark.parametrize("places", [[0, 0], [2], [-1]])
def test_places_of_no_document(kind, places):
    results = [{"index": place, "relevance_score": 0.5} for place in places]
    with answering((200, {}, {"results": results})) as script, pytest.raises(InvalidAnswerError, match="places"):
        kind(script.url).call("rerank", "a", ["b", "c"], model="m")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "0 results"),
        ([{"index": 1, "embedding": "AAAAAA=="}], "not one for each"),
        ([{"index": 0, "embedding": "AAAA"}], "not base64 of float32"),
        ([{"index": 0, "embedding": "!"}], "not base64 of float32"),
        ([{"index": 0, "embedding": ""}], "empty"),
        ([{"index": 0, "embedding": "AADAfw=="}], "not finite"),
        ([{"index": 0, "embedding": [0.5]}], "valid string"),
    ],
)
def test_embeddings_that_are_none(kind, server, data, message):
    info = kind(server.url).call("info").model_dump(mode="json")
    with (
        answering((200, {}, info), (200, {}, {"data": data})) as script,
        pytest.raises(InvalidAnswerError, match=message),
    ):
        kind(script.url).call("embed", ["dog"])
