"""The encoders that can teach: a sentence-transformers model or a checkpoint of this package, as one function."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from simlstm.models.folder import CONFIG
from simlstm.models.manifest import FORMAT
from simlstm.models.similarity import SimilarityModel

Encode = Callable[[list[str]], NDArray[np.float32]]

PRECISIONS = ("auto", "float32", "bf16")
_BATCH_SIZE = 64


def resolved_precision(name: str) -> str:
    """Return ``float32`` or ``bf16``; ``auto`` is bf16 on CUDA and on a CPU with instructions for it.

    Raises:
        ValueError: For any other name.
    """
    if name not in PRECISIONS:
        raise ValueError(f"precision: {name!r} came; allowed: {', '.join(PRECISIONS)}")
    if name != "auto":
        return name
    if torch.cuda.is_available():
        return "bf16"
    has_it = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "bf16" if has_it() else "float32"


def load_teacher(folder: Path, precision: str) -> Encode:
    """Load a teacher.

    Args:
        folder: Of a sentence-transformers model, which is read from there and nowhere else, or of a checkpoint.
        precision: ``float32`` or ``bf16``.

    Returns:
        A function from texts to their vectors, float32 [n, E].

    Raises:
        ValueError: When the folder holds neither.
        ImportError: When sentence-transformers is needed and not installed.
    """
    if _is_checkpoint(folder):
        model = SimilarityModel.from_pretrained(folder, dtype="bfloat16" if precision == "bf16" else "float32")
        return lambda texts: model.encode(texts, batch_size=_BATCH_SIZE)
    if not any((folder / name).is_file() for name in ("modules.json", "config.json")):
        raise ValueError(f"teacher: {folder} holds neither a sentence-transformers model nor a simlstm checkpoint")
    try:
        library: Any = importlib.import_module("sentence_transformers")
    except ImportError as error:
        raise ImportError('this teacher needs sentence-transformers: pip install "simlstm[bench]"') from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    transformer = library.SentenceTransformer(str(folder), device=device, local_files_only=True)

    def encode(texts: list[str]) -> NDArray[np.float32]:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            found = transformer.encode(texts, batch_size=_BATCH_SIZE, convert_to_tensor=True, show_progress_bar=False)
        vectors: NDArray[np.float32] = found.float().cpu().numpy()
        return vectors

    return encode


def _is_checkpoint(folder: Path) -> bool:
    """Tell whether a folder is a checkpoint of this package."""
    try:
        document = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("format") == FORMAT
