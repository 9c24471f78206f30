"""A checkpoint folder: written as one, read with suspicion.

``config.json`` names every other file with its size and SHA-256, and carries a SHA-256 of itself. Weights are
safetensors and everything else is text: nothing that is read can run code. What a crash during a rewrite leaves, and
why a reader still sees one whole checkpoint, is told in ``atomic.py``. Files of other names in the folder, and the
training state in ``state/``, are never touched.
"""

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from simlstm.models.atomic import replace_files
from simlstm.models.calibration import Calibration
from simlstm.models.card import model_card
from simlstm.models.card_facts import CardFacts
from simlstm.models.config import ModelConfig
from simlstm.models.documents import dump_object, parse_object, plain, validated
from simlstm.models.folder import (
    CALIBRATION,
    CARD,
    CONFIG,
    METRICS,
    NAMES,
    TOKENIZER,
    WEIGHTS,
    CheckpointError,
    check_folder,
    read_file,
)
from simlstm.models.manifest import dump_manifest, make_manifest, parse_manifest
from simlstm.models.storage import Storage, restore, store
from simlstm.models.weights import WeightsError, check_weights, dump_weights, parse_weights
from simlstm.text.tokenizer import Tokenizer

__all__ = ["Checkpoint", "CheckpointError", "read_checkpoint", "write_checkpoint"]

logger = logging.getLogger(__name__)

_LARGEST_CONFIG = 16 * 2**20
_READS = 20


@dataclass(frozen=True)
class Checkpoint:
    """All that a checkpoint folder holds.

    Attributes:
        config: The architecture.
        state: The weights, float32 on the CPU, by the names of ``SiameseModel.state_dict()``.
        tokenizer: With as many ids as the configuration's vocabulary_size.
        calibration: How scores become probabilities; None when that was not fitted.
        metrics: What was measured, by name; numbers that are not finite are stored as null.
        provenance: Data hashes, command, seed, commit, as JSON has it; under "card", the fields of ``CardFacts``.
        card: The model card. None when writing: it is made from the rest.
        storage: What the weights are stored in; those in ``state`` are rounded to it when they are written.
    """

    config: ModelConfig
    state: Mapping[str, Tensor]
    tokenizer: Tokenizer
    calibration: Calibration | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    card: str | None = None
    storage: Storage = "float32"


def write_checkpoint(folder: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, or replace the one that is there, as one.

    A crash at any moment leaves the old one or the new one. One process writes a folder at a time.

    Args:
        folder: Made when it does not exist.
        checkpoint: What to write.

    Raises:
        CheckpointError: If the parts do not fit together, so that the result could not be read, or the path is a file.
        OSError: If the disk refuses; the old checkpoint still counts.
        ValueError: If metrics or provenance hold what JSON does not have, or the storage is not known.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder}: is a file; a checkpoint is a folder")
    _check_tokenizer(checkpoint.config, checkpoint.tokenizer, folder / TOKENIZER)
    try:
        check_weights(checkpoint.config, checkpoint.state)
        stored = store(checkpoint.state, checkpoint.storage)
        check_weights(checkpoint.config, restore(stored, checkpoint.storage))  # rounding can overflow
    except WeightsError as error:
        raise CheckpointError(f"{folder / WEIGHTS}: {error}") from error
    metrics, provenance = plain(checkpoint.metrics), plain(checkpoint.provenance)
    card = checkpoint.card
    if card is None:
        card = _card(folder, checkpoint, metrics, provenance)
    files = {
        WEIGHTS: dump_weights(stored),
        TOKENIZER: checkpoint.tokenizer.to_json().encode(),
        METRICS: dump_object(metrics),
        CARD: card.encode("utf-8", "backslashreplace"),
    }
    if checkpoint.calibration is not None:
        files[CALIBRATION] = dump_object(checkpoint.calibration.model_dump(mode="json"))
    manifest = make_manifest(checkpoint.config, storage=checkpoint.storage, provenance=provenance, files=files)
    replace_files(folder, {**files, CONFIG: dump_manifest(manifest)}, names=NAMES)
    logger.info("wrote the checkpoint %s", folder)


def _card(folder: Path, checkpoint: Checkpoint, metrics: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    """Make the card, with the facts that ``simlstm pack`` put into the provenance, if it did."""
    facts: CardFacts | None = None
    if (given := provenance.get("card")) is not None:
        try:
            facts = validated(CardFacts, given, folder / CARD)
        except CheckpointError as error:
            raise CheckpointError(
                f'provenance["card"]: {error}; allowed: the fields of CardFacts, as simlstm pack stores them, or no '
                "such key"
            ) from error
    return model_card(
        checkpoint.config,
        name=folder.resolve().name,
        calibration=checkpoint.calibration,
        metrics=metrics,
        provenance={key: value for key, value in provenance.items() if key != "card"},
        facts=facts,
    )


def read_checkpoint(folder: str | Path) -> Checkpoint:
    """Read a checkpoint and verify everything in it.

    A checkpoint that is being replaced at the same time is read as the old one or the new one.

    Args:
        folder: Where ``write_checkpoint`` wrote it.

    Returns:
        The checkpoint; the weights fit the configuration, and so does the tokenizer.

    Raises:
        CheckpointError: If the folder is missing, damaged, of another version, or unsafe; names the file and why.
        ImportError: If its segmenter is not installed; names the command that installs it.
    """
    folder = Path(folder)
    check_folder(folder)
    for _ in range(_READS - 1):
        config = read_file(folder, CONFIG, limit=_LARGEST_CONFIG)
        try:
            return _read_once(folder, config)
        except CheckpointError:
            # Either the folder is damaged, or a writer replaced the checkpoint between two of our reads.
            if read_file(folder, CONFIG, limit=_LARGEST_CONFIG) == config:
                raise
            time.sleep(0.01)
    return _read_once(folder, read_file(folder, CONFIG, limit=_LARGEST_CONFIG))


def _read_once(folder: Path, config: bytes) -> Checkpoint:
    """Read all files that a config.json names."""
    manifest = parse_manifest(config, folder / CONFIG)
    files: dict[str, bytes] = {}
    for name, record in manifest.files.items():
        content = read_file(folder, name, limit=record.bytes)
        if len(content) < record.bytes:
            raise CheckpointError(
                f"{folder / name}: {len(content):,} bytes, {CONFIG} says {record.bytes:,}: the file was cut off"
            )
        if hashlib.sha256(content).hexdigest() != record.sha256:
            raise CheckpointError(f"{folder / name}: its SHA-256 is not the one in {CONFIG}: damaged, or edited")
        files[name] = content
    try:
        state = restore(parse_weights(files[WEIGHTS]), manifest.storage)
        check_weights(manifest.model, state)
    except WeightsError as error:
        raise CheckpointError(f"{folder / WEIGHTS}: {error}") from error
    calibration = None
    if CALIBRATION in files:
        path = folder / CALIBRATION
        calibration = validated(Calibration, parse_object(files[CALIBRATION], path), path)
    return Checkpoint(
        config=manifest.model,
        state=state,
        tokenizer=_read_tokenizer(manifest.model, files[TOKENIZER], folder / TOKENIZER),
        calibration=calibration,
        metrics=parse_object(files[METRICS], folder / METRICS),
        provenance=manifest.provenance,
        card=files[CARD].decode("utf-8", "replace"),
        storage=manifest.storage,
    )


def _read_tokenizer(config: ModelConfig, content: bytes, path: Path) -> Tokenizer:
    """Build the tokenizer and check that its ids are rows of the embedding table."""
    try:
        tokenizer = Tokenizer.from_json(content.decode(), segmenter=config.segmenter)
    except ValueError as error:  # UnicodeDecodeError is one
        raise CheckpointError(f"{path}: {error}") from error
    _check_tokenizer(config, tokenizer, path)
    return tokenizer


def _check_tokenizer(config: ModelConfig, tokenizer: Tokenizer, path: Path) -> None:
    """Refuse a tokenizer that is not the one of the configured model."""
    for name in ("vocabulary_size", "unknown_id", "segmenter"):
        have, want = getattr(tokenizer, name), getattr(config, name)
        if have != want:
            raise CheckpointError(f"{path}: {name} is {have!r}, the configured model has {want!r}")
