"""FreshEncoder: a frozen encoder that is never older than the encoder it was made from."""

import logging
from typing import Any, NamedTuple

import torch
from torch import Tensor

from simlstm.models.encoder import SentenceEncoder
from simlstm.models.freezable import obstacle
from simlstm.models.frozen import FrozenEncoder
from simlstm.rnn.frozen import PRECISIONS, Precision, frozen_backend

logger = logging.getLogger(__name__)


class _Content(NamedTuple):
    """A copy of everything in an encoder that its results follow from."""

    settings: tuple[object, ...]
    tensors: dict[str, Tensor]


class FreshEncoder:
    """Freezes an encoder when it is first needed, and again when it is no longer what was frozen.

    There is no cheap sign that weights have changed: torch counts what goes through its own operations, but a write
    through ``.data`` or a NumPy view leaves no trace. So the rule is this. As long as nobody else holds the encoder,
    nobody can change it, and nothing is checked. Once somebody may, every call compares all weights with a copy of
    those that were frozen: some milliseconds for ten million, and no write goes unnoticed.

    Args:
        precision: Of the frozen encoder.
        watched: Whether somebody else holds the encoder.

    Raises:
        ValueError: If the precision is not known.
    """

    def __init__(self, precision: Precision, *, watched: bool) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"dtype must be one of {', '.join(PRECISIONS)}, got {precision!r}")
        self.precision = precision
        self.watched = watched
        self._frozen: FrozenEncoder | None = None
        self._content: _Content | None = None

    def __getstate__(self) -> dict[str, Any]:
        # A native encoder holds memory that no pickle can; it is built again where it is needed.
        return {**vars(self), "_frozen": None, "_content": None}

    def watch(self) -> None:
        """Note that somebody else holds the encoder from now on."""
        self.watched = True

    def of(self, encoder: SentenceEncoder) -> FrozenEncoder | None:
        """Return the frozen form of an encoder as it is at this moment.

        Args:
            encoder: The one in use now.

        Returns:
            None when the encoder cannot be frozen (see ``simlstm.models.freezable``), and is to be used itself.
        """
        if self._frozen is not None and not self.watched:
            return self._frozen
        reason = obstacle(encoder)
        if reason is not None:
            if self._frozen is not None:
                logger.warning("the encoder is computed as it is, not frozen: %s", reason)
            self._frozen = self._content = None
            return None
        # What was frozen before anybody watched has no copy to be compared with.
        if self._frozen is None or self._content is None or not _is_content(self._content, encoder):
            self._content = _content(encoder) if self.watched else None
            self._frozen = FrozenEncoder.from_encoder(encoder, precision=self.precision)
            logger.info("encoder frozen: %s, %s backend", self._frozen.precision, self._frozen.backend)
        return self._frozen

    def backend(self, encoder: SentenceEncoder) -> str:
        """Name what computes an encoder: the backend of its frozen form, "live" when it cannot be frozen."""
        return "live" if obstacle(encoder) else frozen_backend()


def _settings(encoder: SentenceEncoder) -> tuple[object, ...]:
    pooling, recurrent = encoder.pooling, encoder.recurrent
    kinds = [(name, type(module)) for name, module in encoder.named_modules()]
    return *kinds, pooling.bidirectional, recurrent.bidirectional, recurrent.num_layers, encoder.normalize


def _content(encoder: SentenceEncoder) -> _Content:
    copies = {name: parameter.detach().clone() for name, parameter in encoder.named_parameters()}
    return _Content(_settings(encoder), copies)


def _is_content(content: _Content, encoder: SentenceEncoder) -> bool:
    """Tell whether an encoder is still what was copied."""
    tensors = dict(encoder.named_parameters())
    return (
        content.settings == _settings(encoder)
        and content.tensors.keys() == tensors.keys()
        and all(torch.equal(copy, tensors[name]) for name, copy in content.tensors.items())
    )
