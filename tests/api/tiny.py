"""Real tiny models, some with a fault built in."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from simlstm import SimilarityModel
from simlstm.models.calibration import Calibration, FittedOn, PlattParameters
from simlstm.models.config import ModelConfig
from simlstm.models.siamese import SiameseModel
from simlstm.text.tokenizer import Tokenizer

SENTENCES = [
    "A man is playing a guitar.",
    "Someone plays an instrument.",
    "A dog runs in the park.",
    "今天天气很好。",
    "天气真不错。",
    "How do I reset my password?",
]


class Gate:
    """A gate between processes, and a count of who came to it: files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._open = folder / "open"
        self._calls = folder / "calls"

    def set(self) -> None:
        self._open.touch()

    def clear(self) -> None:
        self._open.unlink(missing_ok=True)

    @property
    def calls(self) -> list[int]:
        """How many sentences each model call held."""
        return [int(line) for line in self._calls.read_text().split()] if self._calls.exists() else []

    def forget(self) -> None:
        """Count anew."""
        self._calls.unlink(missing_ok=True)

    def pass_through(self, sentences: int) -> None:
        with self._calls.open("a") as file:
            file.write(f"{sentences}\n")
        end = time.monotonic() + 30
        while not self._open.exists():
            assert time.monotonic() < end, "the gate was never opened"
            time.sleep(0.002)


class GatedModel(SimilarityModel):
    """A real model that computes only while its gate is open, so that a test decides what waits."""

    gate: Gate

    @property
    def calls(self) -> list[int]:
        """How many sentences each model call held."""
        return self.gate.calls

    def encode_tokens(self, token_ids: Sequence[Sequence[int]], *, batch_size: int = 256) -> torch.Tensor:
        self.gate.pass_through(len(token_ids))
        return super().encode_tokens(token_ids, batch_size=batch_size)


class AllergicModel(SimilarityModel):
    """A real model that fails on every batch that holds the sentence POISON, and whose thread ends at DEADLY."""

    POISON = "password password password"
    DEADLY = "guitar guitar guitar"

    def encode_tokens(self, token_ids: Sequence[Sequence[int]], *, batch_size: int = 256) -> torch.Tensor:
        batch = {tuple(ids) for ids in token_ids}
        if tuple(self.tokenizer.encode([self.POISON])[0]) in batch:
            raise RuntimeError(f"cannot bear {self.POISON}")
        if tuple(self.tokenizer.encode([self.DEADLY])[0]) in batch:
            raise SystemExit
        return super().encode_tokens(token_ids, batch_size=batch_size)


def build_model(
    kind: type[SimilarityModel] = SimilarityModel, *, calibrated: bool = True, **options: object
) -> SimilarityModel:
    tokenizer = Tokenizer.train(SENTENCES, kind="word")
    settings = {"embedding_size": 8, "hidden_size": 8, "max_tokens": 12} | options
    config = ModelConfig(
        vocabulary_size=tokenizer.vocabulary_size, unknown_id=tokenizer.unknown_id, kind="graded", **settings
    )
    torch.manual_seed(0)
    calibration = Calibration(
        method="platt",
        parameters=PlattParameters(slope=4.0, intercept=-2.0),
        threshold=0.5,
        threshold_metric="f1",
        fitted_on=FittedOn(name="sentences", rows=6, sha256="0" * 64),
    )
    return kind(
        SiameseModel.from_config(config).eval(),
        tokenizer,
        config=config,
        calibration=calibration if calibrated else None,
        metrics={"spearman": 0.5},
        name="tiny",
    ).freeze()  # as the server's own models are
