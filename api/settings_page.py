"""The page docs/settings.md, written from the settings themselves."""

from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from api.settings import Settings

_HEAD = """\
# Settings of the server

Every setting can be given by flag of `scripts/serve.py`, by environment variable, and by key of a TOML file, which
`--settings` or `SIMLSTM_SETTINGS_FILE` names. A flag goes before the environment, the environment before the file, and
the file before the default. An empty variable counts as absent. What is unknown, out of range, or contradicts another
setting ends the start with a sentence that says which, and exit status 2.

`python scripts/serve.py --print-settings` writes this page.

"""
_FOOT = """
A file with two models, of which the first is the default one:

```toml
port = 8000
log_format = "json"
cors_origins = ["https://app.example"]

[models.english]
path = "en"
max_waiting_sentences = 8192

[models.chinese]
path = "zh"
threads = 1
```

The same models by flag: `--model english=en --model chinese=zh`. By environment:
`SIMLSTM_MODELS='{"english": {"path": "en"}, "chinese": {"path": "zh"}}'`. What a table leaves out is as the server's
own setting. Models named by a stronger source replace those of a weaker one, `model` and `models` alike. Paths are
relative to the working directory.
"""


def settings_page() -> str:
    """Return the page as Markdown, one row for each setting."""
    head = "| Flag | Environment | File | Default | What |\n| --- | --- | --- | --- | --- |\n"
    rows = "".join(_row(name, field) for name, field in Settings.model_fields.items())
    return _HEAD + head + rows + _FOOT


def flag(name: str) -> str:
    """Return the flag of a setting; models are named one by one, by ``--model``."""
    return "--model" if name == "models" else f"--{name.replace('_', '-')}"


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"SIMLSTM_{name.upper()}"


def default(field: FieldInfo) -> str:
    """Return the default of a setting as one would write it; empty when there is none."""
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    return "" if value in (None, "") else f"{value:g}" if isinstance(value, float) else str(value)


def bounds(field: FieldInfo) -> dict[str, Any]:
    """Return a numeric setting's bounds by their names: ``ge``, ``gt``, ``le``."""
    names = ("ge", "gt", "le")
    return {name: getattr(item, name) for item in field.metadata for name in names if hasattr(item, name)}


def _row(name: str, field: FieldInfo) -> str:
    key = {"settings_file": "", "models": "`[models.NAME]`"}.get(name, f"`{name}`")
    shown = f"`{default(field)}`" if default(field) else ""
    return f"| `{flag(name)}` | `{variable(name)}` | {key} | {shown} | {field.description}{_allowed(field)} |\n"


def _allowed(field: FieldInfo) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most"}
    said = [f"{words[name]} {bound:,}" for name, bound in bounds(field).items() if (name, bound) != ("ge", 0)]
    return f"; {', '.join(said)}" if said else ""
