"""Transformers that compare two sentences: a sentence encoder by the cosine of its vectors, a cross-encoder at once."""

import os
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scripts.benchmarking.optional import load_package
from simlstm.training.losses import cosent

COSENT_SCALE = 20.0


class Kind(StrEnum):
    """What reads a pair."""

    encoder = "encoder"
    cross_encoder = "cross-encoder"


class PairModel(Protocol):
    """What can be tuned on scored pairs, and score pairs."""

    module: nn.Module

    def scores(self, first: Sequence[str], second: Sequence[str]) -> Tensor:
        """Return the similarity of P pairs, float32 [P]: a cosine, or a number in [0, 1]."""

    def loss(self, first: Sequence[str], second: Sequence[str], targets: Tensor) -> Tensor:
        """Return the loss of P pairs against targets [P] in [0, 1], a scalar."""

    def save(self, folder: Path) -> None:
        """Write a folder of sentence-transformers."""


class EncoderPairs:
    """A sentence encoder; trained by CoSENT, which asks for the right order of cosines and for no scale.

    Args:
        folder: Of a sentence-transformers model, or of a plain transformer (mean pooling).
        device: Where it computes.
        max_tokens: Longer sentences are cut; the model's own limit when that is lower.
    """

    def __init__(self, folder: Path, *, device: torch.device, max_tokens: int) -> None:
        self._model = _load("SentenceTransformer", folder, device)
        self._limit = min(max_tokens, self._model.max_seq_length or max_tokens)
        self.module: nn.Module = self._model

    def vectors(self, sentences: Sequence[str]) -> Tensor:
        """Return float32 [n, D]."""
        features = _features(self._model.tokenizer, self._limit, self._model.device, list(sentences))
        vectors: Tensor = self._model(features)["sentence_embedding"]
        return vectors.float()

    def scores(self, first: Sequence[str], second: Sequence[str]) -> Tensor:
        """Return cosines [P]."""
        return F.cosine_similarity(*self._sides(first, second))

    def loss(self, first: Sequence[str], second: Sequence[str], targets: Tensor) -> Tensor:
        """Return the CoSENT loss."""
        return cosent(*self._sides(first, second), targets, scale=COSENT_SCALE)

    def save(self, folder: Path) -> None:
        """Write a folder of sentence-transformers."""
        self._model.save_pretrained(str(folder), create_model_card=False)

    def _sides(self, first: Sequence[str], second: Sequence[str]) -> tuple[Tensor, Tensor]:
        vectors = self.vectors([*first, *second])
        return vectors[: len(first)], vectors[len(first) :]


class CrossEncoderPairs:
    """A cross-encoder with one output, a logit; trained by the cross-entropy of its sigmoid with the target.

    Args:
        folder: As for the encoder; the head of one that has none is drawn at random.
        device: Where it computes.
        max_tokens: Of both sentences together.
    """

    def __init__(self, folder: Path, *, device: torch.device, max_tokens: int) -> None:
        self._model = _load("CrossEncoder", folder, device, num_labels=1)
        self._limit = max_tokens
        self.module: nn.Module = self._model.model

    def logits(self, first: Sequence[str], second: Sequence[str]) -> Tensor:
        """Return float32 [P]."""
        features = _features(self._model.tokenizer, self._limit, self._model.device, list(first), list(second))
        logits: Tensor = self.module(**features).logits
        return logits.float().squeeze(1)

    def scores(self, first: Sequence[str], second: Sequence[str]) -> Tensor:
        """Return similarities [P] in [0, 1]."""
        return self.logits(first, second).sigmoid()

    def loss(self, first: Sequence[str], second: Sequence[str], targets: Tensor) -> Tensor:
        """Return the mean binary cross-entropy; targets between 0 and 1 are soft labels."""
        return F.binary_cross_entropy_with_logits(self.logits(first, second), targets)

    def save(self, folder: Path) -> None:
        """Write a folder of sentence-transformers."""
        self._model.save_pretrained(str(folder), create_model_card=False)


def load_pair_model(kind: Kind, folder: Path, *, device: torch.device, max_tokens: int = 128) -> PairModel:
    """Load a transformer from a folder; nothing is looked up elsewhere.

    Raises:
        MissingPackageError: sentence-transformers is not installed.
        ValueError: There is no transformer in the folder, or it is of another kind.
    """
    build: Callable[..., PairModel] = EncoderPairs if kind is Kind.encoder else CrossEncoderPairs
    return build(folder, device=device, max_tokens=max_tokens)


def _load(name: str, folder: Path, device: torch.device, **arguments: Any) -> Any:
    """Load by sentence-transformers, without its words about weights that are drawn at random."""
    if not (folder / "config.json").is_file() or not (folder / "tokenizer.json").is_file():
        raise ValueError(f"{folder}: no transformer in this folder; allowed: one with config.json and tokenizer.json")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    package = load_package("sentence_transformers", purpose="a teacher", extra="teach")
    words = load_package("transformers", purpose="a teacher", extra="teach").utils.logging
    words.set_verbosity_error()
    words.disable_progress_bar()
    return getattr(package, name)(str(folder), device=str(device), local_files_only=True, **arguments)


def _features(tokenizer: Any, limit: int, device: torch.device, *texts: list[str]) -> dict[str, Tensor]:
    """Tokenize texts, padded to the longest."""
    features = tokenizer(*texts, padding=True, truncation=True, max_length=limit, return_tensors="pt")
    return {name: ids.to(device) for name, ids in features.items()}
