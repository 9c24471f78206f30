"""Ways to look into a checkpoint folder and to change what is in it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from simlstm import SimilarityModel
from simlstm.models.checkpoint import Checkpoint


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def checkpoint_of(model: SimilarityModel) -> Checkpoint:
    return Checkpoint(
        config=model.config,
        state=model.model.state_dict(),
        tokenizer=model.tokenizer,
        calibration=model.calibration,
        metrics=model.metrics,
        provenance=model.provenance,
    )


def rewrite(folder: Path, name: str, content: bytes | None, record: str | None = None) -> None:
    """Change a file and make config.json agree, as a hostile writer would."""
    document = json.loads((folder / "config.json").read_bytes())
    if content is None:
        del document["files"][name]
    else:
        (folder / name).write_bytes(content)
        document["files"][record or name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    change_config(folder, document)


def change_config(folder: Path, document: dict[str, Any]) -> None:
    document.pop("sha256", None)
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    (folder / "config.json").write_text(
        json.dumps({**document, "sha256": hashlib.sha256(canonical.encode()).hexdigest()})
    )


def edit_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads((folder / "config.json").read_bytes())
    change(document)
    change_config(folder, document)


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    state = safetensors.torch.load((folder / "model.safetensors").read_bytes())
    change(state)
    rewrite(folder, "model.safetensors", safetensors.torch.save(state))
