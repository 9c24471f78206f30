"""Reranking, as Cohere, Jina and vLLM have it: one body that serves all three."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StrictBool, StrictInt, StrictStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from api.schemas.texts import kind_of

_QUERY = "A man is playing a guitar."
_DOCUMENTS: list[Any] = ["A dog sleeps.", "A man plays a guitar."]


def _documents(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise PydanticCustomError("documents", "it is {kind}; an array is needed", {"kind": kind_of(value)})
    texts: list[Any] = [item.get("text") if isinstance(item, dict) else item for item in value]
    for position, (item, text) in enumerate(zip(value, texts, strict=True)):
        if not isinstance(text, str):
            kind = "an object without a string as its text" if isinstance(item, dict) else kind_of(item)
            message = "item {position} is {kind}; a string or an object with text is needed"
            raise PydanticCustomError("documents", message, {"position": position, "kind": kind})
    return texts


_DOCUMENTS_SCHEMA = {
    "type": "array",
    "minItems": 1,
    "items": {
        "anyOf": [
            {"type": "string"},
            {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
        ]
    },
}


class _Documents(BaseModel):
    model_config = ConfigDict(extra="ignore")

    query: StrictStr
    documents: Annotated[list[str], PlainValidator(_documents), WithJsonSchema(_DOCUMENTS_SCHEMA)]
    top_n: StrictInt | None = Field(default=None, ge=0, description="most results; 0 or null for all")


class RerankRequest(_Documents):
    """Documents to order by their likeness to a query; fields that only other models know are ignored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"model": "demo", "query": _QUERY, "documents": _DOCUMENTS, "top_n": 1},
                {"query": _QUERY, "documents": [{"text": text} for text in _DOCUMENTS], "return_documents": False},
            ]
        }
    )

    model: StrictStr | None = Field(default=None, description="name of a served model; null for the first one")
    return_documents: StrictBool | None = Field(
        default=None, description="false leaves the documents out; vLLM and Jina send them unless told not to"
    )


class RerankV2Request(_Documents):
    """Documents to order by their likeness to a query; fields that only other models know are ignored."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "demo", "query": _QUERY, "documents": _DOCUMENTS, "top_n": 2}]}
    )

    model: StrictStr = Field(description="name of a served model")


class Document(BaseModel):
    """A document of the request."""

    text: str


class RankV2(BaseModel):
    """One document with its score."""

    index: int = Field(description="position of the document in the request")
    relevance_score: float = Field(ge=0, le=1, description="how it is got from the model's score is in /info")


class Rank(RankV2):
    """One document with its score."""

    document: Document | None = Field(default=None, description="absent where return_documents is false")


class ApiVersion(BaseModel):
    """Which of Cohere's interfaces answered."""

    version: str


class BilledTokens(BaseModel):
    """Tokens, after truncation."""

    input_tokens: int
    output_tokens: int


class Meta(BaseModel):
    """What Cohere's clients find beside the results."""

    api_version: ApiVersion
    tokens: BilledTokens


class RerankUsage(BaseModel):
    """What the clients of Jina and vLLM find beside the results: tokens, after truncation."""

    prompt_tokens: int
    total_tokens: int


class RerankV2Response(BaseModel):
    """The best documents, the most alike first; equal ones in the order of the request."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "6f1c2b0e9d7a4c35b8e1f02a7d64c913",
                    "results": [{"index": 1, "relevance_score": 0.887}, {"index": 0, "relevance_score": 0.131}],
                    "meta": {"api_version": {"version": "2"}, "tokens": {"input_tokens": 17, "output_tokens": 0}},
                }
            ]
        }
    )

    id: str
    results: list[RankV2]
    meta: Meta


class RerankResponse(BaseModel):
    """The best documents, the most alike first; equal ones in the order of the request."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "6f1c2b0e9d7a4c35b8e1f02a7d64c913",
                    "model": "demo",
                    "results": [{"index": 1, "relevance_score": 0.887, "document": {"text": _DOCUMENTS[1]}}],
                    "usage": {"prompt_tokens": 17, "total_tokens": 17},
                    "meta": {"api_version": {"version": "1"}, "tokens": {"input_tokens": 17, "output_tokens": 0}},
                }
            ]
        }
    )

    id: str
    model: str
    results: list[Rank]
    usage: RerankUsage
    meta: Meta


class ErrorResponse(BaseModel):
    """Every failure of a rerank route."""

    id: str = Field(description="also in the header x-request-id")
    message: str
