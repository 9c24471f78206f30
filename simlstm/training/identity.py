"""What makes a run the same run: its configuration and its data."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from simlstm.training.build import Start
from simlstm.training.config import TrainingConfig
from simlstm.training.config_file import ConfigError, load_config
from simlstm.training.distillation import open_teacher
from simlstm.training.folder import RunFolder, RunFolderError
from simlstm.training.provenance import describe_data, describe_sentences
from simlstm.training.run_data import RunData


def identity(config: TrainingConfig, data: RunData) -> dict[str, Any]:
    """Return what must be the same for a run to be resumed."""
    described: dict[str, Any] = {"train": describe_data(data.train), "dev": describe_data([data.dev])[0]}
    if data.sentences:
        described["sentences"] = describe_sentences(data.sentences)
    if data.synonyms is not None:
        described["synonyms"] = {"name": Path(str(config.augmentation.synonyms)).name, "sha256": data.synonyms[1]}
    if config.distillation.teacher is not None:
        described["teacher"] = open_teacher(config).description()
    return {"config": config.model_dump(mode="json"), "data": described}


def describe_run(config: TrainingConfig, data: RunData, start: Start) -> dict[str, Any]:
    """Return what ``state/run.json`` keeps; ``given`` has only the keys that were set, which some checks ask about."""
    return {
        **identity(config, data),
        "given": config.model_dump(mode="json", exclude_unset=True),
        "model": start.config.model_dump(mode="json"),
        "notes": start.notes,
    }


def refuse_differences(description: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Refuse to resume with another configuration or other data; ``[calibration]`` and ``count_overlap`` may change.

    Args:
        description: Of the run as it was started.
        current: The `identity` of what is asked for now.

    Raises:
        ConfigError: Naming every key that differs.
    """
    earlier = completed(description["config"])
    # What is fitted or counted beside the training steers no weight.
    lines = [
        line
        for key, line in differences(earlier, current["config"])
        if not key.startswith("calibration.") and key != "data.count_overlap"
    ]
    if not lines and description["data"] != current["data"]:
        lines = ["[data]: the files have changed since the run was started (their hashes differ)"]
    if lines:
        raise ConfigError("cannot resume:\n" + "\n".join(lines))


def completed(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored configuration with the keys that its version did not have, at their defaults."""
    defaults = TrainingConfig.model_validate({"data": {"train": ["-"], "dev": "-"}}).model_dump(mode="json")

    def fill(value: Any, default: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            return {**default, **{key: fill(inner, default.get(key)) for key, inner in value.items()}}
        if isinstance(value, list) and isinstance(default, list) and default:
            return [fill(inner, default[0]) for inner in value]
        return value

    filled: dict[str, Any] = fill(stored, defaults)
    return filled


def differences(started: Mapping[str, Any], asked: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Compare two configurations as JSON has them: each key that differs, with a line for people."""
    earlier, now = dict(_flat(started)), dict(_flat(asked))
    return [
        (
            key,
            f"[{key.partition('.')[0]}] {key.partition('.')[2]}: the run was started with {earlier.get(key)!r}, got "
            f"{now.get(key)!r}",
        )
        for key in sorted(earlier.keys() | now.keys())
        if earlier.get(key) != now.get(key)
    ]


def with_what_may_change(description: Mapping[str, Any], config: TrainingConfig) -> dict[str, Any]:
    """Return a run's description with ``[calibration]`` and ``count_overlap`` of the configuration that goes on."""
    calibration = config.calibration.model_dump(mode="json")
    counted = [source.model_dump(mode="json") for source in config.data.count_overlap]
    changed = {
        name: {
            **description[name],
            "calibration": calibration,
            "data": {**description[name]["data"], "count_overlap": counted},
        }
        for name in ("config", "given")
    }
    return {**description, **changed}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Spell nested tables as dotted keys."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def saved_config(
    folder: RunFolder, *, overrides: Sequence[str] = (), flags: Mapping[str, Any] | None = None
) -> TrainingConfig:
    """Return the configuration of the run that was stopped in a folder, with overrides and flags laid over it.

    Args:
        folder: Of the run.
        overrides: As in `load_config`.
        flags: As in `load_config`.

    Raises:
        RunFolderError: When there is no run.
        ConfigError: For an override or flag that cannot be used.
    """
    description = folder.state.description()
    if description is None:
        raise RunFolderError(f"{folder.path}: no run to resume, and no --config to start one")
    return load_config(base=description["given"], overrides=overrides, flags=flags)
