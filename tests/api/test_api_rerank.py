"""POST /v1/rerank and /v2/rerank: one body for the clients of Cohere, Jina and vLLM."""

import numpy as np
import pytest

from api.schemas.cohere import RerankResponse, RerankV2Response
from tests.api.dialects import check_shape
from tests.api.tiny import SENTENCES, build_model

PATHS = ("/v1/rerank", "/v2/rerank")
FIELDS = {"model": "tiny", "query": SENTENCES[0], "documents": SENTENCES}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("head", ["mlp", "cosine"])
def test_relevance_is_the_score_mapped_to_zero_to_one(serve, path, head):
    model = build_model(head=head)
    response = serve(model).post(path, json=FIELDS)
    answer = (RerankResponse if path == PATHS[0] else RerankV2Response).model_validate(response.json(), extra="forbid")
    scores = model.score([SENTENCES[0]] * len(SENTENCES), SENTENCES).astype(np.float64)
    expected = (scores + 1) / 2 if head == "cosine" else scores
    order = np.argsort(-scores, kind="stable").tolist()
    assert [result.index for result in answer.results] == order
    np.testing.assert_allclose([result.relevance_score for result in answer.results], expected[order], atol=1e-6)
    assert answer.id == response.headers["x-request-id"]
    tokens = sum(len(ids) for ids in model.tokenizer.encode([SENTENCES[0], *SENTENCES]))
    assert answer.meta.tokens.input_tokens == tokens
    assert answer.meta.api_version.version == path[2]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("documents", [SENTENCES, [{"text": text, "title": "t"} for text in SENTENCES]])
def test_documents_are_strings_or_objects(client, path, documents):
    results = client.post(path, json=FIELDS | {"documents": documents}).json()["results"]
    assert results == client.post(path, json=FIELDS).json()["results"]


@pytest.mark.parametrize(("asked", "sent"), [(None, True), (True, True), (False, False)])
def test_documents_come_back_unless_told_not_to(client, asked, sent):
    answer = client.post("/v1/rerank", json=FIELDS | {"return_documents": asked}).json()
    for result in answer["results"]:
        assert result.get("document") == ({"text": SENTENCES[result["index"]]} if sent else None)
    assert answer["model"] == "tiny"
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] > 0


def test_the_second_version_never_repeats_documents(client):
    answer = client.post("/v2/rerank", json=FIELDS | {"return_documents": True}).json()
    assert all(set(result) == {"index", "relevance_score"} for result in answer["results"])
    assert set(answer) == {"id", "results", "meta"}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("top_n", "count"), [(None, 6), (0, 6), (1, 1), (4, 4), (100, 6)])
def test_the_best_come_first(client, path, top_n, count):
    whole = client.post(path, json=FIELDS).json()["results"]
    assert client.post(path, json=FIELDS | {"top_n": top_n}).json()["results"] == whole[:count]


@pytest.mark.parametrize("path", PATHS)
def test_equal_documents_keep_their_order(serve, path):
    client = serve(build_model(head="cosine"))
    fields = FIELDS | {"query": "dog", "documents": ["park", "dog"] * 20}
    order = [result["index"] for result in client.post(path, json=fields).json()["results"]]
    assert order == [*range(1, 40, 2), *range(0, 40, 2)]


@pytest.mark.parametrize("path", PATHS)
def test_fields_of_other_servers_are_ignored(client, path):
    fields = FIELDS | {"max_tokens_per_doc": 4096, "truncation": True, "priority": 0, "truncate_prompt_tokens": 5}
    assert client.post(path, json=fields).status_code == 200


def test_the_model_may_be_left_out_where_cohere_lets_it(client):
    fields = {"query": "dog", "documents": ["dog"]}
    assert client.post("/v1/rerank", json=fields).json()["model"] == "tiny"
    assert "model is missing" in check_shape(client.post("/v2/rerank", json=fields), "/v2/rerank", 400)


@pytest.mark.parametrize("path", PATHS)
def test_cut_texts_are_counted(client, path):
    response = client.post(path, json=FIELDS | {"documents": ["dog " * 13, "dog"]})
    assert response.headers["x-truncated-inputs"] == "1"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"documents": "a"}, "documents: it is a string; an array is needed"),
        ({"documents": ["a", 5]}, "documents: item 1 is a number; a string or an object with text is needed"),
        ({"documents": [{"title": "a"}]}, "item 0 is an object without a string as its text"),
        ({"documents": [{"text": 5}]}, "item 0 is an object without a string as its text"),
        ({"query": None}, "query: input should be a valid string"),
        ({"top_n": -1}, "top_n: input should be greater than or equal to 0"),
        ({"top_n": "1"}, "top_n: input should be a valid integer"),
    ],
)
def test_a_bad_request_says_what_is_wrong(client, path, fields, message):
    assert message in check_shape(client.post(path, json=FIELDS | fields), path, 400)


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank"])
def test_the_cosine_can_order_instead_of_the_score(serve, model, path):
    client = serve(rerank_by="cosine")
    documents = SENTENCES[1:]
    body = {"query": SENTENCES[0], "documents": documents} if path == "/v1/rerank" else {
        "query": SENTENCES[0], "texts": documents
    }  # fmt: skip
    answer = client.post(path, json=body).json()
    ranked = [tuple(result.values())[:2] for result in (answer["results"] if path == "/v1/rerank" else answer)]
    cosines = model.similarity(model.encode(SENTENCES[:1]), model.encode(documents))[0].numpy()
    assert [index for index, _ in ranked] == np.argsort(-cosines, kind="stable").tolist()
    np.testing.assert_allclose([score for _, score in ranked], np.sort((cosines + 1) / 2)[::-1], atol=1e-6)
    assert "cosine of the embeddings" in client.get("/info").json()["score"]["relevance_score"]
