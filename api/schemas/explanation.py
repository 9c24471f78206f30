"""What made the score of a pair, as JSON; docs/explain.md says how to read the numbers."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_EXAMPLE: dict[str, Any] = {
    "score": 0.887,
    "cosine": 0.941,
    "sentence1": {
        "tokens": [
            {"text": "dogs", "start": 0, "end": 4, "word": 0, "pooling": 0.031, "gradient": 0.052},
            {"text": "run", "start": 5, "end": 8, "word": 1, "pooling": 0.018, "gradient": -0.007},
        ],
        "words": [
            {"text": "dogs", "start": 0, "end": 4, "pooling": 0.031, "gradient": 0.052},
            {"text": "run", "start": 5, "end": 8, "pooling": 0.018, "gradient": -0.007},
        ],
        "truncated": False,
    },
    "sentence2": {
        "tokens": [{"text": "dogs", "start": 0, "end": 4, "word": 0, "pooling": 0.044, "gradient": 0.061}],
        "words": [{"text": "dogs", "start": 0, "end": 4, "pooling": 0.044, "gradient": 0.061}],
        "truncated": False,
    },
    "alignment": [[0.9312], [0.2741]],
}


class ExplainedToken(BaseModel):
    """One token as the model read it."""

    text: str = Field(description="the token of the vocabulary")
    start: int = Field(description="its first character in the sentence")
    end: int = Field(description="the character after its last")
    word: int = Field(description="position in `words` of the word it is a piece of")
    pooling: float = Field(description="what the pooling took from it, as far as the score looks at that")
    gradient: float = Field(description="how the score would move if its embedding grew a little")


class ExplainedWord(BaseModel):
    """A word of the sentence: the sum of its tokens."""

    text: str = Field(description="as it stands in the sentence")
    start: int
    end: int
    pooling: float
    gradient: float


class ExplainedSentence(BaseModel):
    """One sentence of the pair."""

    tokens: list[ExplainedToken]
    words: list[ExplainedWord]
    truncated: bool = Field(description="whether tokens beyond the model's limit took no part")


class ExplainedPair(BaseModel):
    """What made the score of a pair; positive contributions pull it together, negative ones apart."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    score: float = Field(description="of the float32 weights, which the contributions belong to")
    cosine: float = Field(description="of the two embeddings")
    sentence1: ExplainedSentence
    sentence2: ExplainedSentence
    alignment: list[list[float]] | None = Field(
        description="cosines of the recurrent outputs, a row for each token of sentence1 and a column for each of "
        "sentence2; null beyond 16,384 of them"
    )
