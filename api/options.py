"""The server's command-line options, made from its settings, and how a refused setting is told."""

import inspect
import os
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from typer import Option

from api.settings import Settings
from api.settings_page import bounds, default, flag, variable

F = TypeVar("F", bound=Callable[..., None])


def with_settings_as_options(function: F) -> F:
    """Give a function of ``**settings`` one typer option for each setting; options not given are None."""
    own = [item for item in inspect.signature(function).parameters.values() if item.kind is not item.VAR_KEYWORD]
    options = [_option(name, field) for name, field in Settings.model_fields.items() if name != "models"]
    signature = inspect.Signature([*own, *options])
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    kind: Any = field.annotation
    if name == "model":
        kind = list[str] | None
    elif kind is SecretStr:
        kind = str | None
    else:
        kind = kind | None
    limits = bounds(field)
    help_text = f"{field.description} ({variable(name)})"
    flags = [flag(name), "--settings"] if name == "settings_file" else [flag(name)]
    shown: bool | str = default(field) or False
    option = Option(*flags, help=help_text, show_default=shown, min=limits.get("ge"), max=limits.get("le"))
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option])


def sentences(error: ValidationError, flags: Collection[str]) -> list[str]:
    """Say of each refused setting where it was set and what is wrong.

    Args:
        error: what building the settings raised.
        flags: names of the settings that were given as flags.
    """
    told = []
    for problem in error.errors(include_input=False, include_url=False):
        reason = problem.get("ctx", {}).get("error", problem["msg"])
        told.append(f"{_place([str(part) for part in problem['loc']], flags)}: {reason}")
    return told


def _place(location: Sequence[str], flags: Collection[str]) -> str:
    if not location:
        return "settings"
    name, *inner = location
    if name in flags:
        return ".".join([flag(name), *inner])
    if os.environ.get(variable(name)):
        return ".".join([variable(name), *inner])
    return f"{'.'.join(location)} in the settings file"
