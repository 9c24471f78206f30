"""What the server answers, typed and frozen; fields that this client does not know are left out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FiniteFloat


class _Answer(BaseModel):
    # A failure of validation is told by place and reason, never by what stood there.
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, protected_namespaces=())


class Usage(_Answer):
    """Tokens, after truncation."""

    prompt_tokens: int
    total_tokens: int


class Similarity(_Answer):
    """What the model says about one pair.

    Args:
        index: position of the pair in the request.
        score: higher is more similar; ``Info.score`` says its range.
        probability: that the pair matches; None when the checkpoint has no calibration.
        is_match: whether the score is at or above the checkpoint's threshold; None without a threshold.
        truncated: whether each of the two sentences was cut at the model's token limit.
        unknown_ratio: share of each sentence's tokens that the model does not know.
        explanation: what made the score, as docs/wire.md has it; None unless it was asked for.
    """

    index: int
    score: FiniteFloat
    probability: FiniteFloat | None = None
    is_match: bool | None = None
    truncated: tuple[bool, bool]
    unknown_ratio: tuple[FiniteFloat, FiniteFloat]
    explanation: dict[str, Any] | None = None


class Similarities(_Answer):
    """One result per pair, in the order of the request."""

    model: str
    results: tuple[Similarity, ...]
    usage: Usage

    @property
    def scores(self) -> NDArray[np.float32]:
        """[pairs] float32."""
        return np.array([result.score for result in self.results], dtype=np.float32)

    @property
    def probabilities(self) -> NDArray[np.float32] | None:
        """[pairs] float32; None when the checkpoint has no calibration."""
        known = [result.probability for result in self.results if result.probability is not None]
        return np.array(known, dtype=np.float32) if len(known) == len(self.results) else None


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """Every first sentence against every second one.

    Args:
        model: name of the model.
        scores: [first, second] float32.
        probabilities: the same; None when the checkpoint has no calibration.
    """

    model: str
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None


class RankedDocument(_Answer):
    """One document's place.

    Args:
        index: position of the document in the request.
        relevance_score: in [0, 1]; higher is more similar.
    """

    index: int
    relevance_score: FiniteFloat


class Ranking(_Answer):
    """The documents, the most similar one first."""

    results: tuple[RankedDocument, ...]


class ServedModel(_Answer):
    """A served model.

    Args:
        id: the name that clients use.
        created: when the server took it up, in seconds since 1970.
        owned_by: as OpenAI's list has it.
    """

    id: str
    created: int
    owned_by: str


class ScoreInfo(_Answer):
    """How to read the scores; the server's ``/info`` describes the fields."""

    head: str
    range: tuple[float, float]
    trained_on: str
    published_range: tuple[float, float]
    threshold: float | None = None
    calibrated: bool


class Info(_Answer):
    """The served model and the limits; the server's ``/info`` describes the fields."""

    model_id: str
    model_sha: str
    model_dtype: str
    max_input_length: int
    max_client_batch_size: int
    version: str
    embedding_size: int
    max_body_bytes: int
    max_sentence_characters: int
    default_deadline_ms: int
    max_deadline_ms: int
    device: str
    backend: str
    score: ScoreInfo
    metrics: dict[str, object]


class Health(_Answer):
    """Whether the server can compute; when it cannot, why.

    Args:
        status: ``ok`` or ``unavailable``.
        reason: why not.
        model: name of the served model; None while it is being loaded.
    """

    status: str
    reason: str | None = None
    model: str | None = None
