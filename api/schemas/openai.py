"""OpenAI's embeddings dialect."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StrictInt, WithJsonSchema
from pydantic_core import PydanticCustomError

from api.schemas.texts import kind_of


def _input(value: Any) -> str | list[str]:
    items = value if isinstance(value, list) else []
    if any(type(item) in (int, list) for item in items):
        raise PydanticCustomError(
            "token_ids",
            "token ids of another model's tokenizer cannot be embedded, send text: "
            "with LangChain's OpenAIEmbeddings, set check_embedding_ctx_length=False",
        )
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in items)):
        return value
    wrong = next((item for item in items if not isinstance(item, str)), value)
    raise PydanticCustomError(
        "texts", "it is or holds {kind}; a string or an array of strings is needed", {"kind": kind_of(wrong)}
    )


class EmbeddingRequest(BaseModel):
    """Texts to embed; fields that only other models know are ignored, as OpenAI-compatible servers do."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {"model": "demo", "input": "A man is playing a guitar."},
                {"model": "demo", "input": ["A dog runs.", "两只狗在公园里跑。"], "encoding_format": "base64"},
            ]
        },
    )

    model: str = Field(description="name of the served model, as GET /v1/models lists it")
    input: Annotated[
        str | list[str],
        PlainValidator(_input),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
    ]
    encoding_format: Literal["float", "base64"] | None = Field(
        default="float", description="base64: little-endian float32; what the Python client asks for by itself"
    )
    dimensions: StrictInt | None = Field(default=None, ge=1, description="if given, must be the model's embedding size")
    user: str | None = Field(default=None, description="ignored")


class Embedding(BaseModel):
    """One text's embedding."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    """Tokens, after truncation."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingResponse(BaseModel):
    """One embedding per text, in the order of the request."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "object": "list",
                    "data": [{"object": "embedding", "index": 0, "embedding": [0.0132, -0.2517, 0.0904]}],
                    "model": "demo",
                    "usage": {"prompt_tokens": 7, "total_tokens": 7},
                }
            ]
        }
    )

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


_CARD: dict[str, Any] = {
    "id": "demo",
    "object": "model",
    "created": 1767225600,
    "owned_by": "simlstm",
    "dtype": "float32",
}


class Model(BaseModel):
    """A served model."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CARD]})

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="when this server took the model up, in seconds since 1970")
    owned_by: str = "simlstm"
    dtype: str = Field(description="arithmetic of the encoder; embeddings are always float32")


class ModelList(BaseModel):
    """The served models."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"object": "list", "data": [_CARD]}]})

    object: Literal["list"] = "list"
    data: list[Model]


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str = Field(examples=["invalid_request_error"])
    param: str | None
    code: str | None = Field(examples=["model_not_found"])


class ErrorResponse(BaseModel):
    """Every failure of an OpenAI route."""

    error: ErrorDetail
