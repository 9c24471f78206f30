"""config.json: the model, the versions, where it comes from, and the hash of every file."""

import hashlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from simlstm.models.config import ModelConfig
from simlstm.models.documents import dump_object, parse_object, validated
from simlstm.models.folder import CALIBRATION, CARD, METRICS, TOKENIZER, WEIGHTS, CheckpointError
from simlstm.models.storage import Storage
from simlstm.version import __version__

FORMAT: Final = "simlstm-checkpoint"
# Weights in float32 are written as version 1, which every version of simlstm reads; version 2 names another storage.
FORMAT_VERSIONS: Final = (1, 2)
# Settings that came after the first release of version 1, whose readers refuse what they do not know: left out at 0.
_LATER = ("recurrent_dropout", "weight_dropout")

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
        format_version: Version of the layout of the folder: 1 with weights in float32, 2 with another storage.
        storage: What the weights are stored in, see ``simlstm.models.storage``; named in version 2 only.
        model: The architecture.
        versions: Versions of the software that wrote it.
        provenance: Data hashes, command, seed, commit: whatever the writer gave.
        files: All other files of the checkpoint.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["simlstm-checkpoint"] = FORMAT
    format_version: Literal[1, 2] = 1
    storage: Storage = "float32"
    model: ModelConfig
    versions: dict[str, str]
    provenance: dict[str, Any]
    files: dict[str, FileRecord]

    @model_validator(mode="after")
    def _version_and_storage_agree(self) -> Self:
        """Refuse a storage that the version does not have."""
        if (self.format_version == 1) != (self.storage == "float32"):
            raise ValueError(
                f"format_version {self.format_version} came with storage {self.storage!r}; "
                "version 1 has float32, version 2 any other storage"
            )
        return self


def make_manifest(
    model: ModelConfig, *, storage: Storage, provenance: Mapping[str, Any], files: Mapping[str, bytes]
) -> Manifest:
    """Describe a checkpoint that is about to be written by this software.

    Args:
        model: The architecture.
        storage: What its weights are stored in.
        provenance: A JSON object.
        files: Content of all other files.

    Returns:
        What config.json will say.
    """
    return Manifest(
        format_version=1 if storage == "float32" else 2,
        storage=storage,
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
    document = manifest.model_dump(mode="json", exclude={"storage"} if manifest.format_version == 1 else None)
    document["model"] = {name: value for name, value in document["model"].items() if name not in _LATER or value}
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
    version = document.get("format_version")
    if type(version) is not int or version not in FORMAT_VERSIONS:
        raise CheckpointError(
            f"{path}: format_version is {version!r}, this version of simlstm ({__version__}) "
            f"reads {' and '.join(map(str, FORMAT_VERSIONS))}"
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
