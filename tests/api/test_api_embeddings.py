"""POST /v1/embeddings and GET /v1/models: OpenAI's shapes."""

import base64

import numpy as np
import pytest

from api.schemas.openai import EmbeddingResponse, ModelList
from tests.api.tiny import SENTENCES, build_model

URL = "/v1/embeddings"


@pytest.mark.parametrize("encoding_format", [None, "float", "base64"])
@pytest.mark.parametrize("texts", [SENTENCES[0], SENTENCES])
def test_embeddings_equal_the_models(client, model, texts, encoding_format):
    fields = {"model": "tiny", "input": texts}
    if encoding_format:
        fields["encoding_format"] = encoding_format
    response = client.post(URL, json=fields)
    assert response.status_code == 200
    answer = response.json()
    EmbeddingResponse.model_validate(answer)
    listed = [texts] if isinstance(texts, str) else texts
    assert [entry["index"] for entry in answer["data"]] == list(range(len(listed)))
    rows = [entry["embedding"] for entry in answer["data"]]
    if encoding_format == "base64":
        rows = [np.frombuffer(base64.b64decode(row), dtype="<f4") for row in rows]
    np.testing.assert_array_equal(np.array(rows, dtype=np.float32), model.encode(listed))
    tokens = sum(len(ids) for ids in model.tokenizer.encode(listed))
    assert answer["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert answer["object"] == "list"
    assert answer["model"] == "tiny"


def test_a_large_answer_equals_the_models_too(serve):
    model = build_model(hidden_size=64)
    texts = [f"dog {number}" for number in range(200)]  # 200 * 128 floats are written outside of the event loop
    answer = serve(model).post(URL, json={"model": "tiny", "input": texts}).json()
    rows = np.array([entry["embedding"] for entry in answer["data"]], dtype=np.float32)
    # Another batch order than encode's may change the last bits of float32 sums.
    np.testing.assert_allclose(rows, model.encode(texts), atol=1e-6)


def test_cut_texts_are_counted(client):
    response = client.post(URL, json={"model": "tiny", "input": ["dog " * 13, "dog", "park " * 12]})
    assert response.headers["x-truncated-inputs"] == "1"
    assert response.json()["usage"]["prompt_tokens"] == 12 + 1 + 12


def test_a_field_that_is_null_counts_as_not_given(client, model):
    fields = {"model": "tiny", "input": "dog", "encoding_format": None, "dimensions": None, "user": None}
    answer = client.post(URL, json=fields).json()
    np.testing.assert_array_equal(np.float32(answer["data"][0]["embedding"]), model.encode("dog"))


def test_dimensions_may_only_repeat_the_size(client, model):
    fields = {"model": "tiny", "input": "dog"}
    assert client.post(URL, json=fields | {"dimensions": model.embedding_size}).status_code == 200
    response = client.post(URL, json=fields | {"dimensions": 4})
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == "dimensions"
    assert f"have {model.embedding_size} and cannot be shortened" in error["message"]


def test_fields_of_other_servers_are_ignored(client):
    fields = {"model": "tiny", "input": "dog", "user": "u", "input_type": "query", "truncate": "END"}
    assert client.post(URL, json=fields).status_code == 200


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]]])
def test_token_ids_are_refused_naming_the_switch(client, tokens):
    response = client.post(URL, json={"model": "tiny", "input": tokens})
    assert response.status_code == 400
    assert "check_embedding_ctx_length=False" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"input": "a"}, "model", "model is missing"),
        ({"model": "tiny"}, "input", "input is missing"),
        ({"model": "tiny", "input": []}, "input", "empty array"),
        ({"model": "tiny", "input": None}, "input", "null"),
        ({"model": "tiny", "input": ["a", {}]}, "input", "an object"),
        ({"model": "tiny", "input": [True]}, "input", "a boolean"),
        ({"model": "tiny", "input": "a", "encoding_format": "int8"}, "encoding_format", "'float' or 'base64'"),
        ({"model": "tiny", "input": ["a"] * 4097}, "input", "4097 sentences"),
    ],
)
def test_a_bad_request_says_what_is_wrong(client, fields, param, message):
    response = client.post(URL, json=fields)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert message in error["message"]


@pytest.mark.parametrize("ask", ["embeddings", "models"])
def test_another_model_is_not_found(client, ask):
    if ask == "embeddings":
        response = client.post(URL, json={"model": "text-embedding-3-small", "input": "a"})
    else:
        response = client.get("/v1/models/text-embedding-3-small")
    assert response.status_code == 404
    error = response.json()["error"]
    assert error["code"] == "model_not_found"
    assert "'tiny'" in error["message"]


def test_models(serve):
    client = serve(name="lab/similarity")
    listed = ModelList.model_validate(client.get("/v1/models").json())
    assert [entry.id for entry in listed.data] == ["lab/similarity"]
    assert client.get("/v1/models/lab/similarity").json() == listed.data[0].model_dump()
    assert client.post(URL, json={"model": "lab/similarity", "input": "a"}).json()["model"] == "lab/similarity"
