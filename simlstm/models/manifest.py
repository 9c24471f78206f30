"""config.json: the model, the versions, where it comes from, and the hash of every file."""

import hashlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from simlstm.models.config import ModelConfig
from simlstm.models.documents import dump_object, parse_object, validated
from simlstm.models.folder import CALIBRATION, CARD, METRICS, TOKENIZER, WEIGHTS, CheckpointError
from simlstm.version import __version__

FORMAT: Final = "simlstm-checkpoint"
FORMAT_VERSION: Final = 1

_OPTIONAL = {CALIBRATION}
_EXPECTED = {WEIGHTS, TOKENIZER, CALIBRATION, METRICS, CARD}


class FileRecord(BaseModel):
    """What a file of the checkpoint must be.

    Attributes:
        bytes: Its size.
        sha256: Its hash, in hexadecimal.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: Annotated[int, Field(strict=True, ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """The content of config.json.

    Attributes:
        format: Always "simlstm-checkpoint".
        format_version: Version of the layout of the folder.
        model: The architecture.
        versions: Versions of the software that wrote it.
        provenance: Data hashes, command, seed, commit: whatever the writer gave.
        files: All other files of the checkpoint.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["simlstm-checkpoint"] = FORMAT
    format_version: Literal[1] = FORMAT_VERSION
    model: ModelConfig
    versions: dict[str, str]
    provenance: dict[str, Any]
    files: dict[str, FileRecord]


def make_manifest(model: ModelConfig, *, provenance: Mapping[str, Any], files: Mapping[str, bytes]) -> Manifest:
    """Describe a checkpoint that is about to be written by this software.

    Args:
        model: The architecture.
        provenance: A JSON object.
        files: Content of all other files.

    Returns:
        What config.json will say.
    """
    return Manifest(
        model=model,
        versions={"simlstm": __version__, "torch": str(torch.__version__), "python": platform.python_version()},
        provenance=dict(provenance),
        files={
            name: FileRecord(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
            for name, content in files.items()
        },
    )


def dump_manifest(manifest: Manifest) -> bytes:
    """Write config.json, with a hash over everything else it says."""
    document = manifest.model_dump(mode="json")
    return dump_object({**document, "sha256": _hash(document)})


def parse_manifest(content: bytes, path: Path) -> Manifest:
    """Read config.json.

    Args:
        content: Its bytes.
        path: Where they come from, for messages.

    Returns:
        A manifest whose file names are all known.

    Raises:
        CheckpointError: If it is no JSON, of another format or version, damaged or edited, or makes no sense.
    """
    document = parse_object(content, path)
    if document.get("format") != FORMAT:
        raise CheckpointError(f"{path}: format is {document.get('format')!r}, not {FORMAT!r}: not a simlstm checkpoint")
    if document.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format_version is {document.get('format_version')!r}, this version of simlstm ({__version__}) "
            f"reads {FORMAT_VERSION}"
        )
    claimed = document.pop("sha256", None)
    if claimed != _hash(document):
        raise CheckpointError(f"{path}: does not match the hash that it carries: damaged, or edited by hand")
    manifest = validated(Manifest, document, path)
    unknown = sorted(manifest.files.keys() - _EXPECTED)
    if unknown:
        raise CheckpointError(f"{path}: lists the file {unknown[0]!r}; a checkpoint has {sorted(_EXPECTED)}")
    missing = sorted(_EXPECTED - _OPTIONAL - manifest.files.keys())
    if missing:
        raise CheckpointError(f"{path}: does not list {', '.join(missing)}")
    return manifest


def _hash(document: Mapping[str, Any]) -> str:
    """Hash what a JSON object says, however it is spaced and ordered."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
