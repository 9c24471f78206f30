"""What was measured on a kind of device, kept on disk for the processes to come: a small file for each measurement."""

import hashlib
import json
import logging
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
import triton

logger = logging.getLogger(__name__)

FOLDER = "SIMLSTM_CACHE"
TUNING = "SIMLSTM_CUDA_TUNING"


def is_open(device: torch.device) -> bool:
    """Return whether measurements on a device are made and used: on CUDA, unless SIMLSTM_CUDA_TUNING=off.

    Raises:
        ValueError: SIMLSTM_CUDA_TUNING is neither auto nor off.
    """
    setting = os.environ.get(TUNING, "auto")
    if setting not in ("auto", "off"):
        raise ValueError(f"{TUNING} must be auto or off, got {setting!r}")
    return setting == "auto" and device.type == "cuda"


def may_measure(device: torch.device) -> bool:
    """Return whether something can be measured now: not while a CUDA graph is captured."""
    if device.type != "cuda":
        return True
    with torch.cuda.device(device):
        return not torch.cuda.is_current_stream_capturing()


def read(device: torch.device, name: str) -> Any:
    """Return what was measured under a name; None when there is no file, or none of ours."""
    content = _content(_file(device, name))
    return content["value"] if content.get("name") == name and "value" in content else None


def read_all(device: torch.device) -> dict[str, Any]:
    """Return everything that was measured on a device, by name."""
    folder = folder_of(device)
    contents = map(_content, sorted(folder.glob("*.json"))) if folder is not None else []
    return {content["name"]: content["value"] for content in contents if content.keys() >= {"name", "value"}}


def add(device: torch.device, name: str, value: Any) -> None:
    """Keep a value, of what JSON knows; where it cannot be written, say so and go on."""
    file = _file(device, name)
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, delete=False) as temporary:
            json.dump({"name": name, "value": value}, temporary, indent=1)
        Path(temporary.name).replace(file)
    except OSError as error:
        logger.warning("a measurement cannot be kept in %s: %s", file, error)


def folder_of(device: torch.device) -> Path | None:
    """Return the folder of a device: in SIMLSTM_CACHE, or in the user's cache; each version of the kernels has its own.

    None when there is no user whose home is known.
    """
    kind = "".join(letter if letter.isalnum() else "-" for letter in kind_of(device))
    name = f"{kind}-{_sources()}"
    home = os.environ.get(FOLDER)
    if home:
        return Path(home) / name
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "simlstm" / name
    except RuntimeError:
        return None


@cache
def kind_of(device: torch.device) -> str:
    """Return the name of a device's model."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def _file(device: torch.device, name: str) -> Path | None:
    folder = folder_of(device)
    return None if folder is None else folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"


def _content(file: Path | None) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text("utf-8")) if file is not None else None
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


@cache
def _sources() -> str:
    """Return a digest of what a measurement follows from: the kernels, and who compiles them."""
    digest = hashlib.sha256(f"{triton.__version__} {torch.__version__}".encode())
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
