"""What is known of a served model without touching its weights."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from api.engine.frames import Header
from simlstm.models.calibration import Calibration
from simlstm.models.config import ModelConfig
from simlstm.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Facts:
    """A served model's facts; they change when its checkpoint is loaded again.

    Args:
        name: the name that clients use.
        fingerprint: SHA-256 of the float32 weights, in hexadecimal.
        config: what the model was built from.
        tokenizer: the model's; it may be used from one thread beside the worker's.
        calibration: how scores become probabilities; None when that was not fitted.
        metrics: what was measured when the checkpoint was made.
        dtype: arithmetic of the encoder.
        backend: what computes embeddings.
        device: where the model computes.
        embedding_size: width of an embedding.
        since: when this server took the weights up, in seconds since 1970.
    """

    name: str
    fingerprint: str
    config: ModelConfig
    tokenizer: Tokenizer = field(repr=False)
    calibration: Calibration | None
    metrics: Mapping[str, Any]
    dtype: str
    backend: str
    device: str
    embedding_size: int
    since: int

    @property
    def threshold(self) -> float | None:
        """The score at and above which a pair is a match; None without a calibration."""
        return None if self.calibration is None else self.calibration.threshold

    @property
    def score_bounds(self) -> tuple[float, float]:
        """Lowest and highest score that the pair head can give."""
        return (-1.0, 1.0) if self.config.head == "cosine" else (0.0, 1.0)


def facts_of(name: str, said: Header) -> Facts:
    """Read a model's facts from what its worker says of it when it is ready.

    Args:
        name: what clients call it.
        said: the worker's message.
    """
    calibration = said["calibration"]
    return Facts(
        name=name,
        fingerprint=said["fingerprint"],
        config=ModelConfig.model_validate(said["config"]),
        tokenizer=Tokenizer.from_json(said["tokenizer"], segmenter=said["segmenter"]),
        calibration=None if calibration is None else Calibration.model_validate(calibration),
        metrics=said["metrics"],
        dtype=said["dtype"],
        backend=said["backend"],
        device=said["device"],
        embedding_size=said["embedding_size"],
        since=int(time.time()),
    )
