"""Where settings come from, beside flags: the environment, and a TOML file."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource


class SettingsFileError(ValueError):
    """The settings file cannot be read, or holds what is no setting; the message names the file."""


class Environment(EnvSettingsSource):
    """Environment variables; they name models only where no flag does."""

    def __call__(self) -> dict[str, Any]:
        """Return what the environment sets."""
        return _without_overridden_models(super().__call__(), self.current_state)


class SettingsFile(PydanticBaseSettingsSource):
    """The TOML file that the setting ``settings_file`` names, by flag or by environment.

    Raises:
        SettingsFileError: when it cannot be read, is not TOML, or has a key that is no setting.
    """

    def __init__(self, settings_class: type[BaseSettings]) -> None:
        super().__init__(settings_class)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return nothing: the file is read as a whole."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return what the file sets; nothing when no file is named."""
        path = self.current_state.get("settings_file")
        if not path:
            return {}
        values = _read(Path(str(path)))
        allowed = [name for name in self.settings_cls.model_fields if name != "settings_file"]
        unknown = [name for name in values if name not in allowed]
        if unknown:
            message = f"{path}: {', '.join(unknown)} is no setting; allowed: {', '.join(sorted(allowed))}"
            raise SettingsFileError(message)
        return _without_overridden_models(values, self.current_state)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsFileError(f"cannot read the settings file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsFileError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsFileError(f"{path} is not TOML: {error}") from error


def _without_overridden_models(values: dict[str, Any], stronger: dict[str, Any]) -> dict[str, Any]:
    """Leave out the models of a weaker source: its ``models`` would else stand beside a stronger ``model``."""
    if stronger.get("model") is None and stronger.get("models") is None:
        return values
    return {name: value for name, value in values.items() if name not in ("model", "models")}
