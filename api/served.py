"""Which models a server holds, and what is set about each of them."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from simlstm.rnn.frozen import Precision


class ModelTable(BaseModel):
    """One table ``[models.NAME]`` of a settings file; what it leaves out is as the server's own setting."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(min_length=1, description="checkpoint folder, or the name of a shipped one")
    device: str | None = None
    dtype: Precision | None = None
    threads: int | None = Field(default=None, ge=1, le=1024)
    max_waiting_sentences: int | None = Field(default=None, ge=2)
    max_batch_tokens: int | None = Field(default=None, ge=1)
    max_request_sentences: int | None = Field(default=None, ge=2)


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What is set about one served model, the server's own settings standing in for what its table leaves out.

    Args:
        name: what clients call it; None for the name that its checkpoint bears.
        path: checkpoint folder, or the name of a shipped one.
        device: torch device; None for CUDA when there is one, else the CPU.
        dtype: arithmetic of the encoder; None for the device's default.
        threads: threads of the model; None for torch's choice.
        max_waiting_sentences: bound of its queue.
        max_batch_tokens: tokens of one model call.
        max_request_sentences: most sentences in one request.
    """

    name: str | None
    path: str
    device: str | None
    dtype: Precision | None
    threads: int | None
    max_waiting_sentences: int
    max_batch_tokens: int
    max_request_sentences: int

    def contradictions(self, prefix: str = "") -> list[str]:
        """Say which of its settings cannot both be meant.

        Args:
            prefix: where they were set, such as ``models.en.``.
        """
        found = []
        if self.max_waiting_sentences < self.max_request_sentences:
            found.append(
                f"{prefix}max_waiting_sentences ({self.max_waiting_sentences}) is below {prefix}max_request_sentences "
                f"({self.max_request_sentences}): a request of the allowed size could never be queued"
            )
        if self.dtype == "int8" and (self.device or "cpu").split(":")[0] != "cpu":
            found.append(f"{prefix}dtype is int8 and {prefix}device is {self.device}: int8 is for the CPU only")
        return found


def models_from_flags(flags: Sequence[str]) -> dict[str, Any]:
    """Read the flag ``--model``, given once or more.

    Args:
        flags: each ``NAME=PATH``, or a path or shipped name alone, which then bears its folder's name. What is a
            folder, or has a separator before its first ``=``, is a path.

    Returns:
        ``{"model": path}`` for one without a name, else ``{"models": {name: {"path": path}}}``.

    Raises:
        ValueError: when two have the same name, or a name or a path is empty.
    """
    if not flags:
        return {}
    named = [_name_and_path(flag) for flag in flags]
    if len(named) == 1 and named[0][0] is None:
        return {"model": named[0][1]}
    return {"models": _refuse_twice([(name or Path(path).resolve().name, {"path": path}) for name, path in named])}


def _name_and_path(flag: str) -> tuple[str | None, str]:
    name, equals, path = flag.partition("=")
    if not equals or os.sep in name or Path(flag).is_dir():
        return None, flag
    if not name or not path:
        raise ValueError(f"--model {flag}: write NAME=PATH, or a path alone")
    return name, path


def _refuse_twice(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(map(repr, twice))} is given twice; each name may stand for one model only")
    return dict(pairs)


def _read_json(value: Any) -> Any:
    """Read what an environment variable holds; tables of a file are as they are."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, object_pairs_hook=_refuse_twice)
    except json.JSONDecodeError as error:
        shape = '{"NAME": {"path": "…"}}'
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}; write {shape}") from error


ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
ModelTables = Annotated[Mapping[ModelName, ModelTable], Field(min_length=1), BeforeValidator(_read_json)]
