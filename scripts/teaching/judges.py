"""Whatever can judge sentences: a cross-encoder, a sentence encoder, or a checkpoint of our own."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scripts.teaching.pair_models import EncoderPairs, Kind, load_pair_model
from scripts.teaching.record import describe_base
from scripts.teaching.scoring import encode_sentences, score_pairs
from simlstm.models.manifest import FORMAT
from simlstm.models.similarity import SimilarityModel
from simlstm.training.teachers import hash_of_files

Score = Callable[[Sequence[str], Sequence[str]], Tensor]
Encode = Callable[[Sequence[str]], Tensor]


@dataclass(frozen=True, slots=True)
class Judge:
    """A model that scores pairs.

    Attributes:
        score: From P first and P second sentences to float32 [P], higher is more similar.
        description: Kind, name, licence and hashes, for records: of the weights, and of all files that decide scores.
    """

    score: Score
    description: dict[str, Any]


def open_judge(
    folder: Path,
    *,
    device: torch.device,
    max_tokens: int = 128,
    batch_size: int = 64,
    bfloat16: bool = True,
    both_orders: bool = False,
) -> Judge:
    """Load a judge; the files of the folder tell what it is.

    Args:
        folder: A simlstm checkpoint, or a transformer: with a head for classes it is a cross-encoder.
        device: Where it computes.
        max_tokens: Longer texts are cut by a transformer; a checkpoint has its own limit.
        batch_size: Pairs or sentences computed at once.
        bfloat16: Whether a transformer computes products in bfloat16.
        both_orders: Whether a cross-encoder reads each pair in both orders, and the mean counts.

    Raises:
        ValueError: There is no model in the folder.
        MissingPackageError: sentence-transformers is not installed, and the model needs it.
    """
    config = _config(folder)
    if config is None or config.get("format") == FORMAT:
        return _checkpoint(folder, device, batch_size)
    crossing = any(str(name).endswith("ForSequenceClassification") for name in config.get("architectures") or ())
    kind = Kind.cross_encoder if crossing else Kind.encoder
    model = load_pair_model(kind, folder, device=device, max_tokens=max_tokens)
    description = {"kind": kind.value, **describe_base(folder), "files_sha256": hash_of_files(folder)}
    if isinstance(model, EncoderPairs):
        encode = partial(encode_sentences, model, batch_size=batch_size, bfloat16=bfloat16)
        return Judge(partial(_compare, encode, _cosines), description)
    score = partial(score_pairs, model, batch_size=batch_size, bfloat16=bfloat16)
    return Judge(partial(_mean_of_orders, score) if both_orders else score, description)


def _checkpoint(folder: Path, device: torch.device, batch_size: int) -> Judge:
    model = SimilarityModel.from_pretrained(folder, device=device)

    def encode(sentences: Sequence[str]) -> Tensor:
        return model.encode(list(sentences), batch_size, convert_to_tensor=True)

    def score(first: Tensor, second: Tensor) -> Tensor:
        return torch.from_numpy(model.score_embeddings(first, second))

    return Judge(
        score=partial(_compare, encode, score),
        description={
            "kind": "checkpoint",
            "name": model.name,
            "sha256": model.fingerprint,
            "files_sha256": hash_of_files(folder),
        },
    )


def _compare(
    encode: Encode, score: Callable[[Tensor, Tensor], Tensor], first: Sequence[str], second: Sequence[str]
) -> Tensor:
    """Encode each distinct sentence once: mined pairs have each many times."""
    rows = {sentence: row for row, sentence in enumerate(dict.fromkeys([*first, *second]))}
    vectors = encode(list(rows))
    return score(vectors[[rows[sentence] for sentence in first]], vectors[[rows[sentence] for sentence in second]])


def _cosines(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).sum(dim=1)


def _mean_of_orders(score: Score, first: Sequence[str], second: Sequence[str]) -> Tensor:
    return (score(first, second) + score(second, first)) / 2


def _config(folder: Path) -> dict[str, Any] | None:
    """Read config.json; None where there is none that could be a transformer's."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return config if isinstance(config, dict) else None
