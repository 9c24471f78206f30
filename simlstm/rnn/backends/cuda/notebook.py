"""What was measured on a kind of device, kept on disk for the processes to come."""

import hashlib
import json
import logging
import os
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
    return device.type != "cuda" or not torch.cuda.is_current_stream_capturing()


def read(device: torch.device) -> dict[str, Any]:
    """Return what is known of a device, by name; nothing when there is no file, or none of ours."""
    try:
        content = json.loads(file_of(device).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def add(device: torch.device, name: str, value: Any) -> None:
    """Keep a value, of what JSON knows; where the file cannot be written, say so and go on."""
    file = file_of(device)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(read(device) | {name: value}, indent=1), "utf-8")
        temporary.replace(file)
    except OSError as error:
        logger.warning("measurements cannot be kept in %s: %s", file, error)


def file_of(device: torch.device) -> Path:
    """Return the file: in SIMLSTM_CACHE, or in the user's cache folder; each version of the kernels has its own."""
    home = os.environ.get(FOLDER) or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "simlstm"
    kind = "".join(letter if letter.isalnum() else "-" for letter in kind_of(device))
    return Path(home) / f"measured-{kind}-{_sources()}.json"


@cache
def kind_of(device: torch.device) -> str:
    """Return the name of a device's model."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


@cache
def _sources() -> str:
    """Return a digest of what a measurement follows from: the kernels, and who compiles them."""
    digest = hashlib.sha256(f"{triton.__version__} {torch.__version__}".encode())
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
