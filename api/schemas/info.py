"""What the server says about its model and its limits."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

_BI_ENCODER = "Query and documents are embedded one by one (a bi-encoder): no cross-encoder reads them together"
RELEVANCE_SCORES = {
    "score": "relevance_score of the rerank routes is the score, mapped linearly from its range to [0, 1]; /rerank "
    f"gives the score itself with raw_scores. {_BI_ENCODER}",
    "cosine": "relevance_score of the rerank routes is the cosine of the embeddings, mapped linearly from [-1, 1] to "
    f"[0, 1]; /rerank gives the cosine itself with raw_scores. {_BI_ENCODER}",
}


class ScoreInfo(BaseModel):
    """How to read the scores of the served model."""

    head: str = Field(description="cosine, manhattan, or mlp: how two embeddings become a score")
    range: tuple[float, float] = Field(description="bounds of `score`")
    trained_on: Literal["graded", "binary"] = Field(description="graded similarity, or match and no match")
    published_range: tuple[float, float] = Field(description="range of the training data's own scores")
    threshold: float | None = Field(description="score at and above which `is_match` is true")
    calibrated: bool = Field(description="whether `probability` is available")
    encoder: Literal["bi-encoder"] = Field(
        default="bi-encoder", description="each sentence is embedded by itself; a pair's score compares two embeddings"
    )
    relevance_score: str = Field(description="how the rerank routes' numbers are got")


class InfoResponse(BaseModel):
    """The model and the limits; the first block has Text Embeddings Inference's names."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model_id": "en",
                    "model_sha": "1c9a2f60b7d84e35a0c6f2b19e7d4853c0ffee00aa11bb22cc33dd44ee55ff66",
                    "model_dtype": "float32",
                    "served_model_name": "en",
                    "model_type": {"embedding": {"pooling": "mean"}},
                    "max_concurrent_requests": 16384,
                    "max_input_length": 256,
                    "max_batch_tokens": 16384,
                    "max_batch_requests": None,
                    "max_client_batch_size": 4096,
                    "auto_truncate": True,
                    "tokenization_workers": 1,
                    "version": "0.1.0",
                    "sha": None,
                    "docker_label": None,
                    "embedding_size": 512,
                    "max_body_bytes": 4194304,
                    "max_sentence_characters": 100000,
                    "default_deadline_ms": 30000,
                    "max_deadline_ms": 60000,
                    "device": "cpu",
                    "backend": "native",
                    "score": {
                        "head": "mlp",
                        "range": [0.0, 1.0],
                        "trained_on": "graded",
                        "published_range": [0.0, 5.0],
                        "threshold": 0.62,
                        "calibrated": True,
                        "encoder": "bi-encoder",
                        "relevance_score": RELEVANCE_SCORES["score"],
                    },
                    "metrics": {"spearman": 0.8},
                }
            ]
        }
    )

    model_id: str
    model_sha: str = Field(description="SHA-256 of the float32 weights")
    model_dtype: str = Field(description="arithmetic of the encoder; embeddings are always float32")
    served_model_name: str
    model_type: dict[str, dict[str, str]]
    max_concurrent_requests: int = Field(description="single sentences that may wait at once")
    max_input_length: int = Field(description="tokens after which a sentence is cut")
    max_batch_tokens: int
    max_batch_requests: None = Field(default=None, description="always null: only tokens bound a batch")
    max_client_batch_size: int = Field(description="sentences in one request")
    auto_truncate: bool
    tokenization_workers: int
    version: str
    sha: None = Field(default=None, description="always null: `version` says what runs")
    docker_label: None = Field(default=None, description="always null")

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
