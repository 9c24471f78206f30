"""Text Embeddings Inference's dialect."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, RootModel, StrictBool, StrictInt, StrictStr
from pydantic import WithJsonSchema as Schema
from pydantic_core import PydanticCustomError

from api.schemas.texts import TextList, Texts, checked_list, checked_texts, kind_of

_GUITAR = "A man is playing a guitar."
_OTHERS: list[Any] = ["A man plays a guitar.", "A dog sleeps."]


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="ignore")

    truncate: StrictBool | None = Field(
        default=None,
        description="false refuses a text beyond the model's token limit; else it is cut, and the header "
        "`x-truncated-inputs` says so",
    )
    truncation_direction: Literal["Left", "Right", "left", "right"] | None = Field(
        default=None, description="the end at which a text is cut: Right, unless it says Left"
    )


class _Prompted(_Parameters):
    prompt_name: StrictStr | None = Field(default=None, description="refused: this model has no prompts")


class EmbedRequest(_Prompted):
    """Texts to embed."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"inputs": _GUITAR}, {"inputs": _OTHERS, "normalize": False, "truncate": True}]}
    )

    inputs: Texts
    normalize: StrictBool | None = Field(default=None, description="scale embeddings to length 1, unless false")
    dimensions: StrictInt | None = Field(default=None, description="if given, must be the model's embedding size")


class Sentences(BaseModel):
    """One sentence and those to compare it with."""

    model_config = ConfigDict(extra="ignore")

    source_sentence: StrictStr
    sentences: TextList


class SimilarityParameters(_Prompted):
    """What may be said beside the sentences."""


class TeiSimilarityRequest(BaseModel):
    """One sentence to compare with several."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={"examples": [{"inputs": {"source_sentence": _GUITAR, "sentences": _OTHERS}}]},
    )

    inputs: Sentences
    parameters: SimilarityParameters | None = None


def _either(value: Any) -> Any:
    if not isinstance(value, dict):
        return checked_texts(value)
    if not isinstance(value.get("source_sentence"), str) or "sentences" not in value:
        came = {field: kind_of(value[field]) if field in value else "missing" for field in Sentences.model_fields}
        message = "source_sentence is {source_sentence} and sentences is {sentences}; a string and an array are needed"
        raise PydanticCustomError("sentences", message, came)
    return Sentences(source_sentence=value["source_sentence"], sentences=checked_list(value["sentences"]))


_SENTENCES_SCHEMA = {
    "type": "object",
    "properties": {
        "source_sentence": {"type": "string"},
        "sentences": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    },
    "required": ["source_sentence", "sentences"],
}


class RootRequest(EmbedRequest):
    """What `POST /` takes: texts are embedded, an object of sentences is compared."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"inputs": _OTHERS},
                {"inputs": {"source_sentence": _GUITAR, "sentences": _OTHERS}, "parameters": {"truncate": True}},
            ]
        }
    )

    inputs: Annotated[
        Any,
        PlainValidator(_either),
        Schema(
            {
                "anyOf": [
                    {"type": "string"},
                    {"type": "array", "items": {"type": "string"}, "minItems": 1},
                    _SENTENCES_SCHEMA,
                ]
            }
        ),
    ]
    parameters: SimilarityParameters | None = Field(default=None, description="of sentences to compare")


class TeiRerankRequest(_Parameters):
    """Texts to order by their likeness to a query."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": _GUITAR, "texts": _OTHERS, "return_text": True}]}
    )

    query: StrictStr
    texts: TextList
    raw_scores: StrictBool | None = Field(default=None, description="give the model's score, not mapped to [0, 1]")
    return_text: StrictBool | None = None


class TokenizeRequest(BaseModel):
    """Texts to cut into tokens."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"examples": [{"inputs": "Dogs run."}]})

    inputs: Texts
    add_special_tokens: StrictBool | None = Field(default=None, description="of no effect: this model has none")
    prompt_name: StrictStr | None = Field(default=None, description="refused: this model has no prompts")


class EmbedResponse(RootModel[list[list[float]]]):
    """One embedding per text, in the order of the request; nested for a single text too."""

    model_config = ConfigDict(json_schema_extra={"examples": [[[0.0132, -0.2517, 0.0904]]]})


class TeiSimilarityResponse(RootModel[list[float]]):
    """The pair head's score of each sentence, in the order of the request."""

    model_config = ConfigDict(json_schema_extra={"examples": [[0.887, 0.131]]})


class RootResponse(RootModel[list[list[float]] | list[float]]):
    """Embeddings of texts, or scores of sentences."""

    model_config = ConfigDict(json_schema_extra={"examples": [[[0.0132, -0.2517, 0.0904]], [0.887, 0.131]]})


class TeiRank(BaseModel):
    """One text with its score."""

    index: int = Field(description="position of the text in the request")
    score: float = Field(description="in [0, 1], see /info; with raw_scores, the model's own score")
    text: str | None = Field(default=None, description="only where return_text asked for it")


class TeiRerankResponse(RootModel[list[TeiRank]]):
    """All texts, the most alike first; equal ones in the order of the request."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [[{"index": 0, "score": 0.887}, {"index": 1, "score": 0.131}]]}
    )


class Token(BaseModel):
    """One token."""

    id: int
    text: str = Field(description="its part of the text")
    special: Literal[False]
    start: int = Field(description="its first character in the text")
    stop: int = Field(description="the character after its last")


class TokenizeResponse(RootModel[list[list[Token]]]):
    """The tokens of each text, not cut at the model's limit; a text without tokens is the unknown token once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                [
                    [
                        {"id": 17, "text": "Dogs", "special": False, "start": 0, "stop": 4},
                        {"id": 52, "text": "run", "special": False, "start": 5, "stop": 8},
                    ]
                ]
            ]
        }
    )


class ErrorResponse(BaseModel):
    """Every failure of a route of this dialect."""

    error: str
    error_type: Literal["Validation", "Tokenizer", "Backend", "Overloaded", "Unhealthy", "Empty"]
