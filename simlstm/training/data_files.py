"""Whether the files that a configuration names are still those that a run has read."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from simlstm.training.config import TrainingConfig
from simlstm.training.data_config import SourceConfig
from simlstm.training.run_data import source_path


def changed_files(config: TrainingConfig, recorded: Mapping[str, Any]) -> list[str]:
    """Compare the files of sources and synonyms with the hashes that a run recorded of them.

    Files that are gone, and the demo corpus, are not compared; nor are files whose hash was not recorded.

    Args:
        config: Of the run.
        recorded: Its ``data``, as `simlstm.training.identity.identity` describes them.

    Returns:
        The files that have changed, as the configuration names them.
    """
    compared: list[tuple[SourceConfig, Mapping[str, Any]]] = [
        *zip(config.data.pair_sources, recorded.get("train", ()), strict=False),
        *zip(config.data.sentence_sources, recorded.get("sentences", ()), strict=False),
    ]
    if config.data.dev is not None:
        compared.append((config.data.dev, recorded.get("dev", {})))
    if config.augmentation.synonyms is not None:
        compared.append((SourceConfig(path=config.augmentation.synonyms), recorded.get("synonyms", {})))
    return list(dict.fromkeys(_changed(config, compared)))


def _changed(config: TrainingConfig, compared: Iterable[tuple[SourceConfig, Mapping[str, Any]]]) -> Iterable[str]:
    for source, entry in compared:
        names = [source.path] if source.translation is None else [source.path, source.translation]
        files = [Path(source_path(config, name)) for name in names]
        if "sha256" not in entry or not all(file.is_file() for file in files):
            continue
        hashes = [_sha256(file) for file in files]
        # A translation's hash is that of the two hashes, see `simlstm.data.sentences.read_translations`.
        found = hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()
        if found != entry["sha256"]:
            yield " and ".join(names)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
