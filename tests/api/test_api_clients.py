"""Other people's clients, unchanged, against a live server: their values are the model's own."""

import contextlib

import cohere
import httpx
import numpy as np
import openai
import pytest
from huggingface_hub import InferenceClient, close_session
from huggingface_hub.errors import HfHubHTTPError
from langchain_huggingface import HuggingFaceEndpointEmbeddings
from langchain_openai import OpenAIEmbeddings
from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference

from tests.api.live import LiveServer
from tests.api.tiny import SENTENCES

QUERY, *DOCUMENTS = SENTENCES


@pytest.fixture(scope="module")
def server(model):
    with LiveServer(model) as server:
        yield server
        close_session()  # of huggingface_hub, which keeps its connections


@contextlib.contextmanager
def cohere_client(kind, server, key="none"):
    """Cohere's clients do not close the connections that they open by themselves."""
    with httpx.Client(timeout=20) as connections:
        yield kind(api_key=key, base_url=server.url, httpx_client=connections)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def expected_ranks(model):
    scores = model.score([QUERY] * len(DOCUMENTS), DOCUMENTS)
    order = np.argsort(-scores, kind="stable")
    return order.tolist(), scores[order]


def test_openai(server, model):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        answer = client.embeddings.create(model="tiny", input=SENTENCES)
        rows = np.array([entry.embedding for entry in answer.data], dtype=np.float32)
        np.testing.assert_array_equal(rows, model.encode(SENTENCES))
        assert [entry.id for entry in client.models.list()] == ["tiny"]


@pytest.mark.parametrize("path", ["", "/embed"])
def test_hugging_face_embeddings(server, model, path):
    client = InferenceClient(base_url=f"{server.url}{path}")
    np.testing.assert_array_equal(client.feature_extraction(SENTENCES, normalize=False), model.encode(SENTENCES))
    rows = client.feature_extraction(SENTENCES, truncate=True, truncation_direction="right")
    np.testing.assert_allclose(rows, unit(model.encode(SENTENCES)), atol=1e-6)
    assert client.feature_extraction(QUERY).shape == (1, model.embedding_size)
    with pytest.raises(HfHubHTTPError, match="this model has no prompts"):
        client.feature_extraction(QUERY, prompt_name="query")


@pytest.mark.parametrize("path", ["", "/similarity"])
def test_hugging_face_similarity(server, model, path):
    client = InferenceClient(model=f"{server.url}{path}")
    scores = client.sentence_similarity(QUERY, other_sentences=DOCUMENTS)
    np.testing.assert_array_equal(np.float32(scores), model.score([QUERY] * len(DOCUMENTS), DOCUMENTS))


def test_hugging_face_shows_what_is_wrong(server):
    client = InferenceClient(base_url=server.url)
    with pytest.raises(HfHubHTTPError, match="is an empty array; at least one sentence is needed"):
        client.sentence_similarity(QUERY, other_sentences=[])


@pytest.mark.parametrize("kind", [cohere.ClientV2, cohere.Client])
def test_cohere(server, model, kind):
    order, scores = expected_ranks(model)
    with cohere_client(kind, server) as client:
        answer = client.rerank(model="tiny", query=QUERY, documents=DOCUMENTS, top_n=3)
        assert [result.index for result in answer.results] == order[:3]
        np.testing.assert_array_equal(np.float32([result.relevance_score for result in answer.results]), scores[:3])
        with pytest.raises(cohere.NotFoundError, match=r"no model 'rerank-v3\.5' is served here"):
            client.rerank(model="rerank-v3.5", query=QUERY, documents=DOCUMENTS)
        with pytest.raises(cohere.BadRequestError, match="documents is an empty array"):
            client.rerank(model="tiny", query=QUERY, documents=[])


def test_cohere_documents(server):
    with cohere_client(cohere.Client, server) as client:
        documents = [{"text": text} for text in DOCUMENTS]
        answer = client.rerank(query=QUERY, documents=documents, return_documents=True)
    assert [result.document.text for result in answer.results] == [DOCUMENTS[r.index] for r in answer.results]


def test_langchain_hugging_face(server, model):
    embeddings = HuggingFaceEndpointEmbeddings(model="tiny", huggingfacehub_api_token="none")  # noqa: S106
    embeddings.client = InferenceClient(base_url=server.url)  # it takes no address itself
    rows = embeddings.embed_documents(SENTENCES)
    np.testing.assert_allclose(rows, unit(model.encode(SENTENCES)), atol=1e-6)
    np.testing.assert_allclose(embeddings.embed_query(QUERY), rows[0], atol=1e-6)


def test_langchain_openai(server, model):
    with httpx.Client() as connections:
        options = {"base_url": f"{server.url}/v1", "api_key": "none", "model": "tiny", "http_client": connections}
        embeddings = OpenAIEmbeddings(check_embedding_ctx_length=False, **options)
        np.testing.assert_array_equal(np.float32(embeddings.embed_documents(SENTENCES)), model.encode(SENTENCES))
        np.testing.assert_array_equal(np.float32(embeddings.embed_query(QUERY)), model.encode(QUERY))


def test_llama_index(server, model):
    embeddings = TextEmbeddingsInference(model_name="tiny", base_url=server.url)
    rows = embeddings.get_text_embedding_batch(SENTENCES)
    np.testing.assert_allclose(rows, unit(model.encode(SENTENCES)), atol=1e-6)
    np.testing.assert_allclose(embeddings.get_query_embedding(QUERY), rows[0], atol=1e-6)


def test_keys_reach_the_server(model):
    with LiveServer(model, api_keys="sesame") as server:
        assert InferenceClient(base_url=server.url, token="sesame").feature_extraction(QUERY).any()  # noqa: S106
        with pytest.raises(HfHubHTTPError, match="401"):
            InferenceClient(base_url=server.url, token="wrong").feature_extraction(QUERY)  # noqa: S106
        with cohere_client(cohere.ClientV2, server, "sesame") as client:
            assert client.rerank(model="tiny", query=QUERY, documents=DOCUMENTS).results
        with (
            cohere_client(cohere.ClientV2, server, "wrong") as client,
            pytest.raises(cohere.UnauthorizedError, match="the API key is not accepted"),
        ):
            client.rerank(model="tiny", query=QUERY, documents=DOCUMENTS)
        embeddings = TextEmbeddingsInference(model_name="tiny", base_url=server.url, auth_token="sesame")  # noqa: S106
        assert embeddings.get_query_embedding(QUERY)
        close_session()
