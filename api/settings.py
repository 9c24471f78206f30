"""The server's settings, read from environment variables ``SIMLSTM_*``."""

from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from simlstm.rnn.frozen import Precision


def _comma_separated(text: str) -> tuple[str, ...]:
    return tuple(part for part in (piece.strip() for piece in text.split(",")) if part)


class Settings(BaseSettings):
    """Everything that can be set about the server; field ``x`` is read from the environment as ``SIMLSTM_X``.

    Raises:
        pydantic.ValidationError: when a value is out of range, or limits contradict each other; it names them.
    """

    model_config = SettingsConfigDict(env_prefix="SIMLSTM_", frozen=True, extra="forbid")

    model: str | None = Field(default=None, description="checkpoint folder to serve, or the name of a shipped one")
    name: str | None = Field(
        default=None, min_length=1, max_length=200, description="name that clients use; default: the folder's name"
    )
    device: str | None = Field(default=None, description="torch device; default: CUDA when there is one, else the CPU")
    dtype: Precision | None = Field(
        default=None,
        description="arithmetic of the encoder, int8 on the CPU only; default: bfloat16 on CUDA, float32 on the CPU",
    )
    threads: int | None = Field(
        default=None, ge=1, le=1024, description="threads of the model; default: torch's choice"
    )

    max_body_bytes: int = Field(default=4 * 2**20, ge=1024, description="largest request body; beyond it, 413")
    max_request_sentences: int = Field(default=4096, ge=2, description="most sentences in one request")
    max_sentence_characters: int = Field(default=100_000, ge=1, description="longest sentence, in characters")
    max_waiting_sentences: int = Field(
        default=16_384, ge=2, description="most sentences waiting for the model; beyond it, 429"
    )
    max_batch_tokens: int = Field(
        default=16_384, ge=1, description="tokens up to which waiting requests are merged into one model call"
    )
    default_deadline_ms: int = Field(default=30_000, ge=1, description="time a request may take, unless it says less")
    max_deadline_ms: int = Field(default=60_000, ge=1, description="largest deadline that a request may ask for")
    stall_seconds: float = Field(
        default=120.0, gt=0, description="a model call that runs longer than this makes the health routes answer 503"
    )
    shutdown_delay_seconds: float = Field(
        default=1.0, ge=0, le=300, description="after SIGTERM, time of serving on with /readyz at 503 before draining"
    )

    api_keys: SecretStr = Field(default=SecretStr(""), description="comma-separated keys; none: the server is open")
    cors_origins: str = Field(default="", description="comma-separated origins that browsers may call from; * for all")

    @property
    def accepted_keys(self) -> tuple[str, ...]:
        """The API keys, one by one; empty when the server asks for none."""
        return _comma_separated(self.api_keys.get_secret_value())

    @property
    def accepted_origins(self) -> tuple[str, ...]:
        """The origins allowed by CORS, one by one; empty when CORS is off."""
        return _comma_separated(self.cors_origins)

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        contradictions = [
            (
                self.max_waiting_sentences < self.max_request_sentences,
                f"max_waiting_sentences ({self.max_waiting_sentences}) is below max_request_sentences "
                f"({self.max_request_sentences}): a request of the allowed size could never be queued",
            ),
            (
                self.max_sentence_characters > self.max_body_bytes,
                f"max_sentence_characters ({self.max_sentence_characters}) is above max_body_bytes "
                f"({self.max_body_bytes}): a sentence of the allowed length could never arrive",
            ),
            (
                self.default_deadline_ms > self.max_deadline_ms,
                f"default_deadline_ms ({self.default_deadline_ms}) is above max_deadline_ms ({self.max_deadline_ms}): "
                "a request that names no deadline would get more time than one may ask for",
            ),
            (
                bool(self.api_keys.get_secret_value()) and not self.accepted_keys,
                "api_keys is set but holds no key: leave it out to serve without keys, or name at least one",
            ),
        ]
        wrong = [sentence for contradicts, sentence in contradictions if contradicts]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self
