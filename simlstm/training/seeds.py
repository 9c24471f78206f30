"""One experiment with several seeds: a run each, and the mean and standard deviation of what they measure."""

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from simlstm.models.folder import CONFIG, METRICS
from simlstm.training.config import TrainingConfig
from simlstm.training.config_file import ConfigError
from simlstm.training.data_files import changed_files
from simlstm.training.folder import RunFolder, RunFolderError
from simlstm.training.identity import completed, differences

SUMMARY = "summary.json"


def parse_seeds(text: str) -> list[int]:
    """Read ``0,1,2``.

    Raises:
        ConfigError: For what is no list of different whole numbers from 0.
    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words) or len({int(word) for word in words}) < len(words):
        raise ConfigError(f"--seeds: got {text!r}; allowed: different whole numbers from 0, such as 0,1,2")
    return [int(word) for word in words]


def seed_folder(out: Path, seed: int) -> Path:
    """Return the folder of one seed's run."""
    return out / f"seed-{seed}"


def check_seeds_folder(out: Path) -> None:
    """Refuse a folder that is itself a run's, or a file.

    Raises:
        RunFolderError: Saying what is there.
    """
    if out.exists() and not out.is_dir():
        raise RunFolderError(f"{out}: a file is there; --out names a folder")
    folder = RunFolder(out)
    if folder.is_finished() or folder.state.description() is not None:
        raise RunFolderError(f"{out}: there is a run in this folder; --seeds makes a run in each of its folders seed-N")


def check_finished(folder: Path, config: TrainingConfig) -> None:
    """Refuse a finished run that was trained with another configuration, or on files that have changed since.

    Settings that only say where and how it is computed may differ.

    Raises:
        ConfigError: Naming every key that differs, or every file.
    """
    provenance = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("provenance", {})
    lines = [
        line
        for key, line in differences(completed(provenance.get("config", {})), config.model_dump(mode="json"))
        if key not in {f"training.{name}" for name in ("device", "threads", "save_every", "log_every", "tensorboard")}
    ]
    if lines:
        raise ConfigError(
            "\n".join([f"{folder}: a finished run of another configuration; choose another --out:", *lines])
        )
    check_data_of(folder, config)


def check_data_of(folder: Path, config: TrainingConfig) -> None:
    """Refuse a finished run whose files of data have changed since.

    Raises:
        ConfigError: Naming every file.
    """
    provenance = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("provenance", {})
    if changed := changed_files(config, provenance.get("data", {})):
        raise ConfigError(
            f"{folder}: a finished run of other data; changed since: {', '.join(changed)}; choose another --out"
        )


def summarise(runs: Mapping[str, Path]) -> dict[str, Any]:
    """Bring together what finished runs measured on dev.

    Args:
        runs: Folder of each run, by the name of its seed.

    Returns:
        ``selected_by``, ``dev`` (name, pairs, hash; and ``differs_by_seed``, where each seed has set another part of
        its training data aside, so that ``pairs`` is the first one's), ``runs`` (folder, metrics, seconds and overlap
        of each), ``metrics`` (mean, standard deviation and values of each), and ``wall_seconds`` likewise.
    """
    documents = {seed: _metrics(folder) for seed, folder in runs.items()}
    first = next(iter(documents.values()))
    differs = {"differs_by_seed": True} if len(runs) > 1 and any(map(_sets_dev_aside, runs.values())) else {}
    measured = {seed: numbers(document["dev"]) for seed, document in documents.items()}
    return {
        "selected_by": first["selected_by"],
        "dev": {key: first["dev"][key] for key in ("name", "pairs", "kind", "sha256")} | differs,
        "metrics": spread_of(measured.values()),
        "wall_seconds": spread([document["wall_seconds"] for document in documents.values()]),
        "runs": {
            seed: {
                "folder": str(folder),
                "metrics": measured[seed],
                "wall_seconds": documents[seed]["wall_seconds"],
                "train_seconds": documents[seed]["train_seconds"],
                "best_epoch": documents[seed]["best_epoch"],
                **{key: documents[seed][key] for key in ("overlap", "calibration_error") if key in documents[seed]},
            }
            for seed, folder in runs.items()
        },
    }


def spread_of(measured: Iterable[Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    """Return the spread of each metric that all runs have."""
    rows = list(measured)
    shared = [name for name in rows[0] if all(name in row for row in rows)]
    return {name: spread([row[name] for row in rows]) for name in shared}


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return ``mean``, ``sd`` (of a sample, divided by n - 1; None for one value) and the ``values``."""
    finite = all(math.isfinite(value) for value in values)
    return {
        "mean": statistics.fmean(values),
        "sd": statistics.stdev(values) if len(values) > 1 and finite else None,
        "values": list(values),
    }


def numbers(measured: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics of a document: what is a number and no count of pairs."""
    return {
        name: float(value)
        for name, value in measured.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name != "pairs"
    }


def _sets_dev_aside(folder: Path) -> bool:
    provenance = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("provenance", {})
    return completed(provenance.get("config", {}))["data"]["dev_fraction"] is not None


def _metrics(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    return document
