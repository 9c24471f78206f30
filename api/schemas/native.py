"""The native dialect."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from api.schemas.explanation import ExplainedPair
from api.schemas.texts import TextList, Texts

_MOST_FIELDS = 32
_Model = Annotated[StrictStr | None, Field(description="name of a served model, as GET /v1/models lists it")]
_Deadline = Annotated[
    StrictInt | None,
    Field(ge=1, description="answer within this time or with 504; bounded by the server's own limit"),
]


class _NativeRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _few_unknown_fields(cls, body: object) -> object:
        # Each unknown field is an error of its own; a hundred thousand of them would occupy the event loop for seconds.
        if isinstance(body, dict) and len(body) > _MOST_FIELDS:
            known = ", ".join(cls.model_fields)
            message = "{count} fields came; the known ones are {known}"
            raise PydanticCustomError("fields", message, {"count": len(body), "known": known})
        return body


class SimilarityRequest(_NativeRequest):
    """One sentence against one, one against many, or as many against as many, pair by pair."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"sentence1": "A man is playing a guitar.", "sentence2": "A man plays a guitar."},
                {
                    "sentence1": "A man is playing a guitar.",
                    "sentence2": ["A man plays a guitar.", "A man is not playing a guitar.", "A dog sleeps."],
                },
                {
                    "sentence1": ["A girl is feeding two cats.", "两只狗在公园里跑。"],
                    "sentence2": ["Two cats are fed by a girl.", "公园里有两条狗在奔跑。"],
                    "deadline_ms": 500,
                },
                {"sentence1": "Dogs run.", "sentence2": "A dog runs.", "model": "demo", "explain": True},
            ]
        },
    )

    sentence1: Texts
    sentence2: Texts
    model: _Model = None
    explain: StrictBool = Field(default=False, description="explain each pair by its words; for 16 pairs at most")
    deadline_ms: _Deadline = None

    @model_validator(mode="after")
    def _same_lengths(self) -> Self:
        first, second = self.sentence1, self.sentence2
        if isinstance(first, list) and isinstance(second, list) and len(first) != len(second):
            raise PydanticCustomError(
                "lengths",
                "sentence1 has {first} sentences and sentence2 has {second}; two arrays are compared pair by pair "
                "and must be equally long, or one of them must be a single string",
                {"first": len(first), "second": len(second)},
            )
        return self


class SimilarityResult(BaseModel):
    """What the model says about one pair."""

    index: int = Field(description="position of the pair in the request")
    score: float = Field(description="higher is more similar; its range is in /info")
    probability: float | None = Field(description="that the pair matches; null when the checkpoint has no calibration")
    is_match: bool | None = Field(description="score at or above the checkpoint's threshold; null without a threshold")
    truncated: tuple[bool, bool] = Field(description="whether each sentence was cut at the model's token limit")
    unknown_ratio: tuple[float, float] = Field(
        description="share of each sentence's tokens that the model does not know; 1 for a sentence without tokens"
    )
    explanation: ExplainedPair | None = Field(default=None, description="only where `explain` asked for it")


class Usage(BaseModel):
    """Tokens, after truncation; a sentence compared with many counts once."""

    prompt_tokens: int
    total_tokens: int


class SimilarityResponse(BaseModel):
    """One result per pair, in the order of the request."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "demo",
                    "results": [
                        {
                            "index": 0,
                            "score": 0.887,
                            "probability": 0.987,
                            "is_match": True,
                            "truncated": [False, False],
                            "unknown_ratio": [0.0, 0.0],
                        }
                    ],
                    "usage": {"prompt_tokens": 13, "total_tokens": 13},
                }
            ]
        }
    )

    model: str
    results: list[SimilarityResult]
    usage: Usage


class MatrixRequest(_NativeRequest):
    """Every sentence of one list against every one of another."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "sentences1": ["A man is playing a guitar.", "A dog sleeps."],
                    "sentences2": ["A man plays a guitar.", "Two dogs run.", "A dog is asleep."],
                    "deadline_ms": 500,
                }
            ]
        }
    )

    sentences1: TextList
    sentences2: TextList
    model: _Model = None
    deadline_ms: _Deadline = None


class MatrixFlags(BaseModel):
    """One value for each sentence."""

    sentences1: list[bool]
    sentences2: list[bool]


class MatrixRatios(BaseModel):
    """One value for each sentence."""

    sentences1: list[float]
    sentences2: list[float]


class MatrixResponse(BaseModel):
    """A row for each sentence of the first list, a column for each one of the second."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "demo",
                    "scores": [[0.887, 0.212, 0.154], [0.131, 0.463, 0.902]],
                    "probabilities": [[0.987, 0.041, 0.027], [0.022, 0.306, 0.991]],
                    "truncated": {"sentences1": [False, False], "sentences2": [False, False, False]},
                    "unknown_ratio": {"sentences1": [0.0, 0.0], "sentences2": [0.0, 0.0, 0.0]},
                    "usage": {"prompt_tokens": 24, "total_tokens": 24},
                }
            ]
        }
    )

    model: str
    scores: list[list[float]] = Field(description="higher is more similar; the range is in /info")
    probabilities: list[list[float]] | None = Field(description="null when the checkpoint has no calibration")
    truncated: MatrixFlags = Field(description="whether each sentence was cut at the model's token limit")
    unknown_ratio: MatrixRatios = Field(description="share of each sentence's tokens that the model does not know")
    usage: Usage


class ErrorDetail(BaseModel):
    """What went wrong."""

    code: str = Field(description="stable name of the failure", examples=["invalid_request"])
    message: str = Field(description="what came and what is allowed", examples=["sentence2 is missing"])
    field: str | None = Field(description="field at fault, if one is", examples=["sentence2"])
    request_id: str = Field(description="also in the header x-request-id")


class ErrorResponse(BaseModel):
    """Every failure of a native route."""

    error: ErrorDetail


class HealthResponse(BaseModel):
    """Whether the server is well; when it is not, why."""

    status: Literal["ok", "unavailable"]
    reason: str | None = None
    model: str | None = Field(default=None, description="name of the served model; null while it is being loaded")
