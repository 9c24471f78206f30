"""What can be asked of a model without computing a vector."""

import hashlib
from functools import cached_property

import torch

from simlstm.models.calibration import Calibration
from simlstm.models.config import ModelConfig
from simlstm.models.freezing import FreshEncoder
from simlstm.models.siamese import SiameseModel
from simlstm.models.weights import dump_weights
from simlstm.rnn.frozen import Precision


class ModelFacts:
    """The facts of a ``SimilarityModel``, which sets what they are read from.

    Attributes:
        config: What the model was built from.
        calibration: How scores become probabilities.
    """

    _model: SiameseModel
    _fresh: FreshEncoder | None
    _precision: Precision
    config: ModelConfig
    calibration: Calibration | None

    @property
    def dtype(self) -> str:
        """Arithmetic of the encoder: what was asked for, or that of its weights where these are not float32."""
        weights = self._model.encoder.embedding.weight.dtype
        return self._precision if weights == torch.float32 else str(weights).removeprefix("torch.")

    @property
    def backend(self) -> str:
        """What computes embeddings: "native", "cuda" or "torch" for a frozen encoder, "live" for the trainable one."""
        return "live" if self._fresh is None else self._fresh.backend(self._model.encoder)

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self._model.encoder.embedding.weight.device

    @property
    def embedding_size(self) -> int:
        """Width D of an embedding."""
        return self._model.encoder.output_size

    @property
    def max_tokens(self) -> int:
        """Longest sentence in tokens; what is beyond it is cut."""
        return self.config.max_tokens

    @property
    def is_graded(self) -> bool:
        """Whether it was trained on graded similarities, not on 0/1 labels."""
        return self.config.kind == "graded"

    @property
    def threshold(self) -> float | None:
        """The score at and above which a pair is a match; None without a calibration."""
        return self.calibration.threshold if self.calibration else None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the float32 weights, in hexadecimal, as they are when it is first asked for.

        It names what computes: rounded to a storage, weights are others, and have another one; the same weights have
        the same one, whatever they were loaded from.
        """
        return hashlib.sha256(dump_weights(self._model.state_dict())).hexdigest()
