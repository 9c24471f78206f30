"""JSON objects in files: written so that any reader takes them, read so that every fault has a sentence."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from simlstm.models.folder import CheckpointError

Document = TypeVar("Document", bound=BaseModel)


def plain(value: Any) -> Any:
    """Turn a value into what JSON has.

    Args:
        value: Mappings, sequences, strings, numbers (numpy's too), booleans, None, paths.

    Returns:
        The same in dicts, lists, str, int, float, bool and None. NaN and infinities, which JSON lacks, become None.

    Raises:
        ValueError: For any other type.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case np.generic():
            return plain(value.item())
        case Path():
            return str(value)
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            raise ValueError(
                f"{value!r} is a {type(value).__name__}; metrics and provenance hold mappings, lists, strings, "
                "numbers, booleans and None"
            )


def dump_object(document: Mapping[str, Any]) -> bytes:
    """Write a JSON object, indented, in ASCII: a lone surrogate in a file name survives, too.

    Args:
        document: What ``plain`` returns.

    Returns:
        The text in bytes.
    """
    return (json.dumps(document, indent=2, allow_nan=False) + "\n").encode("ascii")


def parse_object(content: bytes, path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        content: UTF-8 text.
        path: Where it comes from, for messages.

    Returns:
        The object.

    Raises:
        CheckpointError: If it is something else, or holds NaN or an infinity, which JSON does not have.
    """
    try:
        document = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise CheckpointError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{path}: holds a JSON {type(document).__name__}, an object is expected")
    return document


def validated(model: type[Document], document: Mapping[str, Any], path: Path) -> Document:
    """Validate a JSON object.

    Args:
        model: What it must be.
        document: The object.
        path: Where it comes from, for messages.

    Returns:
        The validated object.

    Raises:
        CheckpointError: With every field that is wrong and what it may be.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        reasons = "; ".join(
            ": ".join([*([".".join(map(str, item["loc"]))] if item["loc"] else []), item["msg"]])
            for item in error.errors()
        )
        raise CheckpointError(f"{path}: {reasons}") from error


def _refuse_constant(name: str) -> None:
    """Refuse NaN and infinities, which Python's reader would take."""
    raise ValueError(f"{name} is no JSON")
