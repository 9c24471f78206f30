"""vLLM's dialect of scoring; its failures have OpenAI's shape."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, StrictStr

from api.schemas.texts import Texts


class ScoreRequest(BaseModel):
    """One text against one, one against many, or pair by pair; fields that only other models know are ignored."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {"model": "demo", "text_1": "A man is playing a guitar.", "text_2": "A man plays a guitar."},
                {"text_1": "A man is playing a guitar.", "text_2": ["A man plays a guitar.", "A dog sleeps."]},
                {"text_1": ["Dogs run.", "Cats sleep."], "text_2": ["A dog runs.", "A dog sleeps."]},
            ]
        },
    )

    model: StrictStr | None = Field(default=None, description="name of a served model; null for the first one")
    text_1: Texts
    text_2: Texts


class Score(BaseModel):
    """One pair's score."""

    index: int
    object: Literal["score"]
    score: float = Field(description="of the model's pair head; its range is in /info")


class ScoreUsage(BaseModel):
    """Tokens, after truncation; a text compared with many counts once."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int


class ScoreResponse(BaseModel):
    """One score per pair, in the order of the request."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "score-6f1c2b0e9d7a4c35b8e1f02a7d64c913",
                    "object": "list",
                    "created": 1767225600,
                    "model": "demo",
                    "data": [{"index": 0, "object": "score", "score": 0.887}],
                    "usage": {"prompt_tokens": 13, "total_tokens": 13, "completion_tokens": 0},
                }
            ]
        }
    )

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[Score]
    usage: ScoreUsage
