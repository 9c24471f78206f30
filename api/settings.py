"""The server's settings: the one place that says what can be set, by flag, by environment and by file."""

from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from api.keys import hash_key, read_keys, split_keys
from api.origins import split_origins
from api.served import ModelSettings, ModelTables
from api.settings_sources import Environment, SettingsFile
from simlstm.rnn.frozen import Precision


def _joined(value: Any) -> Any:
    """Take a settings file's array for the list that a flag and the environment write with commas."""
    return ",".join(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else value


class Settings(BaseSettings):
    """Everything that can be set about the server.

    Field ``x_y`` is the flag ``--x-y`` of scripts/serve.py, the environment variable ``SIMLSTM_X_Y`` (an empty one
    counts as absent), and the key ``x_y`` of the TOML file that ``settings_file`` names, in this order of strength.

    Raises:
        pydantic.ValidationError: when a value is out of range, or settings contradict each other; it names them.
        SettingsFileError: when the settings file cannot be read or holds an unknown key.
    """

    model_config = SettingsConfigDict(env_prefix="SIMLSTM_", env_ignore_empty=True, frozen=True, extra="forbid")

    settings_file: str | None = Field(default=None, description="TOML file with settings, under the names of this page")
    model: str | None = Field(
        default=None,
        min_length=1,
        description="checkpoint folder to serve, or the name of a shipped one; as a flag also NAME=PATH, and repeated "
        "for several models, the first of them the default",
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="name that clients use, where one model is served; default: the folder's name",
    )
    models: Annotated[ModelTables | None, NoDecode] = Field(
        default=None,
        description="several models by name, each with a path and, if it differs from the server's own, device, dtype, "
        "threads, max_waiting_sentences, max_batch_tokens, max_request_sentences; the environment writes it as JSON",
    )
    device: str | None = Field(default=None, description="torch device; default: CUDA when there is one, else the CPU")
    dtype: Precision | None = Field(
        default=None,
        description="arithmetic of the encoder, int8 on the CPU only; default: bfloat16 on CUDA, float32 on the CPU",
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="threads of the model; default: all cores for large calls, one less for small",
    )

    host: str = Field(default="127.0.0.1", min_length=1, description="address to listen on; 0.0.0.0 for all")
    port: int = Field(default=8000, ge=0, le=65535, description="port to listen on; 0 for a free one")
    log_level: Literal["critical", "error", "warning", "info", "debug"] = Field(
        default="info", description="least severe level that is logged"
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="how a log line is written; auto: text in a terminal, else one JSON object a line"
    )

    max_body_bytes: int = Field(default=4 * 2**20, ge=1024, description="largest request body; beyond it, 413")
    max_request_sentences: int = Field(default=4096, ge=2, description="most sentences in one request (a pair has two)")
    max_sentence_characters: int = Field(default=100_000, ge=1, description="longest sentence, in characters")
    max_matrix_pairs: int = Field(default=65_536, ge=1, description="most pairs in one matrix of scores")
    max_explained_pairs: int = Field(default=16, ge=0, description="most pairs in one request that asks why")
    max_waiting_sentences: int = Field(
        default=16_384, ge=2, description="most sentences that wait for a model or are being computed; beyond it, 429"
    )
    overload_share: float = Field(
        default=0.9, gt=0, le=1, description="share of a queue that is taken when /readyz says no"
    )
    max_batch_tokens: int = Field(
        default=16_384, ge=1, description="tokens up to which waiting requests are merged into one model call"
    )
    max_age_ms: int = Field(default=50, ge=0, description="a sentence that has waited longer goes before shorter ones")
    cache_bytes: int = Field(
        default=64 * 2**20, ge=0, description="vectors of recent sentences kept for each model, in bytes; 0 for none"
    )
    default_deadline_ms: int = Field(default=30_000, ge=1, description="time a request may take, unless it says less")
    max_deadline_ms: int = Field(default=60_000, ge=1, description="largest deadline that a request may ask for")
    rerank_by: Literal["score", "cosine"] = Field(
        default="score", description="what /rerank sorts by: the model's score, or the cosine of the embeddings"
    )

    start_seconds: float = Field(default=300.0, gt=0, description="time a worker may take to load and warm up a model")
    stall_seconds: float = Field(
        default=120.0, gt=0, description="a model call that runs longer than this counts as stuck"
    )
    restart_limit: int = Field(
        default=5,
        ge=0,
        description="replacements of a dead worker within the window; beyond, it stays dead until the window moves on",
    )
    restart_window_seconds: float = Field(default=60.0, gt=0, description="window in which replacements are counted")
    reload_seconds: float = Field(
        default=0.0, ge=0, description="how often to look for a changed checkpoint; 0: on SIGHUP only"
    )
    shutdown_delay_seconds: float = Field(
        default=1.0, ge=0, le=300, description="after SIGTERM, time of serving on with /readyz at 503 before draining"
    )
    keep_alive_seconds: int = Field(
        default=75, ge=1, le=3600, description="idle connections are closed after it; clients should do so first"
    )
    drain_seconds: int = Field(default=30, ge=0, description="after that, time for requests in flight to end")

    api_keys: Annotated[SecretStr, BeforeValidator(_joined)] = Field(
        default=SecretStr(""),
        description="comma-separated keys; none: the server is open; a flag is seen by all users of the machine",
    )
    api_keys_file: str | None = Field(
        default=None, description="file with one more key a line (# begins a comment), read at start"
    )
    cors_origins: Annotated[str, BeforeValidator(_joined)] = Field(
        default="", description="comma-separated origins that browsers may call from; * for all"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Name the sources, the strongest first."""
        return init_settings, Environment(settings_cls), SettingsFile(settings_cls)

    @cached_property
    def accepted_keys(self) -> tuple[str, ...]:
        """The API keys, one by one; empty when the server asks for none."""
        keys = split_keys(self.api_keys.get_secret_value())
        return keys if self.api_keys_file is None else tuple(dict.fromkeys((*keys, *read_keys(self.api_keys_file))))

    @cached_property
    def key_hashes(self) -> tuple[bytes, ...]:
        """The hashes of the API keys, which requests' keys are compared by."""
        return tuple(hash_key(key) for key in self.accepted_keys)

    @cached_property
    def accepted_origins(self) -> tuple[str, ...]:
        """The origins allowed by CORS, one by one; empty when CORS is off."""
        return split_origins(self.cors_origins)

    @cached_property
    def served(self) -> tuple[ModelSettings, ...]:
        """The models to serve, the default one first; empty when none is named."""
        own = self.model_dump(include=_OF_A_MODEL)
        if self.models is None:
            return () if self.model is None else (ModelSettings(name=self.name, path=self.model, **own),)
        tables = {name: table.model_dump(exclude_none=True) for name, table in self.models.items()}
        return tuple(ModelSettings(name=name, **(own | table)) for name, table in tables.items())

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        own = ModelSettings(name=None, path="", **self.model_dump(include=_OF_A_MODEL))
        wrong = own.contradictions()
        if self.models is not None:
            wrong = [sentence for model in self.served for sentence in model.contradictions(f"models.{model.name}.")]
            if self.model is not None:
                wrong.append("model and models are both set: name all models in one of them")
            if self.name is not None:
                wrong.append("name is set beside models, which have names of their own: leave it out")
        if self.max_sentence_characters > self.max_body_bytes:
            wrong.append(
                f"max_sentence_characters ({self.max_sentence_characters}) is above max_body_bytes "
                f"({self.max_body_bytes}): a sentence of the allowed length could never arrive"
            )
        if self.default_deadline_ms > self.max_deadline_ms:
            wrong.append(
                f"default_deadline_ms ({self.default_deadline_ms}) is above max_deadline_ms ({self.max_deadline_ms}): "
                "a request that names no deadline would get more time than one may ask for"
            )
        for name in ("accepted_keys", "accepted_origins"):
            try:
                getattr(self, name)
            except ValueError as error:
                wrong.append(str(error))
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


_OF_A_MODEL = {"device", "dtype", "threads", "max_waiting_sentences", "max_batch_tokens", "max_request_sentences"}
