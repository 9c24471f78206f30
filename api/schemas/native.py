"""The native dialect."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from api.schemas.texts import Texts

_KNOWN = "sentence1, sentence2, explain, deadline_ms"
_MOST_FIELDS = 32


class SimilarityRequest(BaseModel):
    """One sentence against one, one against many, or as many against as many, pair by pair."""

    model_config = ConfigDict(
        extra="forbid",
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
            ]
        },
    )

    sentence1: Texts
    sentence2: Texts
    explain: StrictBool = Field(default=False, description="not available in this version: true is refused with 501")
    deadline_ms: StrictInt | None = Field(
        default=None, ge=1, description="answer within this time or with 504; bounded by the server's own limit"
    )

    @model_validator(mode="before")
    @classmethod
    def _few_unknown_fields(cls, body: object) -> object:
        # Each unknown field is an error of its own; a hundred thousand of them would occupy the event loop for seconds.
        if isinstance(body, dict) and len(body) > _MOST_FIELDS:
            raise PydanticCustomError(
                "fields", "{count} fields came; the known ones are {known}", {"count": len(body), "known": _KNOWN}
            )
        return body

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


class Usage(BaseModel):
    """Tokens, after truncation; a sentence compared with many counts once."""

    prompt_tokens: int
    total_tokens: int


class SimilarityResponse(BaseModel):
    """One result per pair, in the order of the request."""

    model: str
    results: list[SimilarityResult]
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


class ScoreInfo(BaseModel):
    """How to read the scores of the served model."""

    head: str = Field(description="cosine, manhattan, or mlp: how two embeddings become a score")
    range: tuple[float, float] = Field(description="bounds of `score`")
    trained_on: Literal["graded", "binary"] = Field(description="graded similarity, or match and no match")
    published_range: tuple[float, float] = Field(description="range of the training data's own scores")
    threshold: float | None = Field(description="score at and above which `is_match` is true")
    calibrated: bool = Field(description="whether `probability` is available")


class InfoResponse(BaseModel):
    """The model and the limits; the first block has Text Embeddings Inference's names."""

    model_id: str
    model_sha: str
    model_dtype: str = Field(description="arithmetic of the encoder; embeddings are always float32")
    model_type: dict[str, dict[str, str]]
    max_concurrent_requests: int = Field(description="single sentences that may wait at once")
    max_input_length: int = Field(description="tokens after which a sentence is cut")
    max_batch_tokens: int
    max_client_batch_size: int = Field(description="sentences in one request")
    auto_truncate: bool
    tokenization_workers: int
    version: str

    embedding_size: int
    max_body_bytes: int
    max_sentence_characters: int
    default_deadline_ms: int
    max_deadline_ms: int
    device: str
    backend: str = Field(
        description="what computes the embeddings: native, cuda or torch for a frozen encoder, else live"
    )
    score: ScoreInfo
    metrics: dict[str, object] = Field(description="quality measured when the checkpoint was made")


class HealthResponse(BaseModel):
    """Whether the server is well; when it is not, why."""

    status: Literal["ok", "unavailable"]
    reason: str | None = None
    model: str | None = Field(default=None, description="name of the served model; null while it is being loaded")
