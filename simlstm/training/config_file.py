"""Read a training configuration from TOML and flags; every complaint names section, key, what came, what is allowed."""

import copy
import difflib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from simlstm.training.config import TrainingConfig
from simlstm.training.distributed import Processes


class ConfigError(ValueError):
    """A configuration that cannot be used; the message has one line per mistake."""


def load_config(
    file: str | Path | None = None,
    *,
    base: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> TrainingConfig:
    """Build the configuration from a TOML file, then ``--set`` overrides, then flags of their own.

    Args:
        file: The TOML file; None starts from the defaults.
        base: Tables to start from instead of a file.
        overrides: Texts ``section.key=value``; the value is read as TOML, or as plain text when it is not TOML.
        flags: Values by dotted key, such as ``{"data.dev": "dev.csv"}``; None values are left out. A ``data.dev``
            takes the place of the file's ``data.dev_fraction``.

    Returns:
        The validated configuration.

    Raises:
        ConfigError: For a file that cannot be read, and for every unknown key or wrong value, all of them at once.
    """
    tree: dict[str, Any] = copy.deepcopy(dict(base or {}))
    name = "configuration"
    if file is not None:
        name = str(file)
        try:
            tree = tomllib.loads(Path(file).read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file}: not a TOML file: {error}") from error
    if (flags or {}).get("data.dev") is not None and isinstance(tree.get("data"), dict):
        tree["data"].pop("dev_fraction", None)
    for text in overrides:
        key, value = parse_override(text)
        _place(tree, key, value)
    for key, value in (flags or {}).items():
        if value is not None:
            _place(tree, key, value)
    try:
        return TrainingConfig.model_validate(tree)
    except ValidationError as error:
        details = error.errors(include_url=False)
        inner = {detail["loc"][:depth] for detail in details for depth in range(1, len(detail["loc"]))}
        # A list whose only item is wrong is also "too short" to pydantic: the item's own mistake says it all.
        lines = [_explain(detail) for detail in details if detail["type"] != "too_short" or detail["loc"] not in inner]
        raise ConfigError("\n".join(f"{name}: {line}" for line in lines)) from error


def share_config(load: Callable[[], TrainingConfig | None], processes: Processes) -> TrainingConfig | None:
    """Load a configuration on the first process of a run, and give it to all.

    Raises:
        PeerError: On the others, when the first could not load it.
    """
    loaded: list[TrainingConfig] = []

    def given() -> dict[str, Any] | None:
        if (config := load()) is None:
            return None
        loaded.append(config)
        return config.model_dump(mode="json", exclude_unset=True)

    tree = processes.lead(given)
    if tree is None or loaded:
        return loaded[0] if loaded else None
    return load_config(base=tree)


def parse_override(text: str) -> tuple[str, Any]:
    """Split ``section.key=value`` and give the value its TOML type; text that is not TOML stays text.

    Raises:
        ConfigError: Without an equals sign, or without a section.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or "." not in key or not all(key.split(".")):
        raise ConfigError(f"--set {text}: expected section.key=value, such as training.epochs=5")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value.strip()


def _place(tree: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in a tree of tables, making tables on the way."""
    *parents, last = key.split(".")
    table = tree
    for depth, parent in enumerate(parents):
        below = table.setdefault(parent, {})
        if not isinstance(below, dict):
            raise ConfigError(f"{key}: {'.'.join(parents[: depth + 1])} is {below!r}, not a table")
        table = below
    table[last] = value


def _explain(detail: ErrorDetails) -> str:
    """Word one mistake: ``[section] key: got …; allowed: …``."""
    location = detail["loc"]
    section = f"[{location[0]}]" if location else "configuration"
    key = ".".join(str(part) for part in location[1:])
    where = f"{section} {key}" if key else section
    came = detail["input"]
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            known = _known_keys(location[:-1])
            near = difflib.get_close_matches(str(location[-1]), known, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            return f"{where}: unknown key{hint}; allowed: {', '.join(known)}"
        case "missing":
            return f"{where}: missing; it has no default"
        case "literal_error":
            return f"{where}: got {came!r}; allowed: {context['expected']}"
        case "model_type":
            return f"{where}: got {came!r}; allowed: a table with the keys {', '.join(_known_keys(location))}"
        case "value_error":
            return f"{where}: {context['error']}"
        case _:
            message = detail["msg"]
            allowed = (
                message.removeprefix("Input should be ").replace("valid tuple", "list").replace("Tuple", "the list")
            )
            return f"{where}: got {came!r}; allowed: {allowed}"


def _known_keys(location: Sequence[int | str]) -> list[str]:
    """Return the keys of the section at a location of the configuration."""
    model: type[BaseModel] = TrainingConfig
    for part in location:
        if isinstance(part, int):
            continue
        model = _section_in(model.model_fields[part].annotation)
    return list(model.model_fields)


def _section_in(annotation: Any) -> type[BaseModel]:
    """Find the section class inside an annotation such as ``tuple[Source, ...]`` or ``Source | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        try:
            return _section_in(argument)
        except LookupError:
            continue
    raise LookupError(f"no section in {annotation!r}")
