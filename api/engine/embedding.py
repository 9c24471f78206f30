"""Vectors of sentences: a failing model call is halved until only the sentence at fault fails."""

import logging
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from api.engine.budget import TokenBudget, is_out_of_memory
from api.engine.cache import Vector
from api.engine.waiting import Sentence
from simlstm.models.similarity import SimilarityModel

logger = logging.getLogger(__name__)


class BrokenModelError(Exception):
    """The model fails on everything: after a fault of the device, for one."""


@dataclass(slots=True)
class Embedded:
    """What became of sentences.

    Args:
        vectors: by key; each owns its memory.
        failures: by key, the name of the type of what the model raised.
        retries: model calls that failed and were taken apart.
        seconds: time of all calls.
    """

    vectors: dict[bytes, Vector] = field(default_factory=dict)
    failures: dict[bytes, str] = field(default_factory=dict)
    retries: int = 0
    seconds: float = 0.0


def embed(model: SimilarityModel, sentences: Sequence[Sentence], budget: TokenBudget) -> Embedded:
    """Compute the vectors of sentences in as few model calls as succeed.

    When memory runs out, the budget of later calls is halved as well; a sentence that does not fit alone fails alone.

    Args:
        model: the model.
        sentences: distinct.
        budget: of tokens; told what happens.

    Raises:
        BrokenModelError: when the model fails on one unknown token, too.
    """
    embedded = Embedded()
    started = time.perf_counter()
    parts = [sentences]
    while parts:
        part = parts.pop()
        try:
            matrix = _encode(model, part)
        except Exception as error:
            if is_out_of_memory(error):
                budget.halve(sum(sentence.tokens for sentence in part))
            if len(part) == 1:
                if not is_out_of_memory(error):
                    _check(model)
                logger.error("the model failed on a sentence with %s\n%s", type(error).__name__, places(error))
                embedded.failures[part[0].key] = type(error).__name__
                continue
            embedded.retries += 1
            logger.warning("a model call for %d sentences failed with %s", len(part), type(error).__name__)
            middle = len(part) // 2
            parts += [part[middle:], part[:middle]]
            continue
        budget.succeeded()
        for sentence, row in zip(part, matrix, strict=True):
            embedded.vectors[sentence.key] = row.copy()  # a view would keep the whole matrix
    embedded.seconds = time.perf_counter() - started
    return embedded


def _check(model: SimilarityModel) -> None:
    """Tell a sentence at fault from a model that computes nothing any more, which its process does not outlive."""
    try:
        model.encode_tokens([[model.tokenizer.unknown_id]])
    except Exception as error:
        raise BrokenModelError(f"the model computes nothing any more: {type(error).__name__}") from None


def _encode(model: SimilarityModel, sentences: Sequence[Sentence]) -> NDArray[np.float32]:
    embeddings = model.encode_tokens([sentence.ids for sentence in sentences], batch_size=len(sentences)).numpy()
    # A vector that is not finite has no score, and JSON has no word for it.
    if not np.isfinite(embeddings).all():
        raise FloatingPointError("an embedding is not finite")
    return embeddings


def places(error: BaseException) -> str:
    """Return where an error was raised; its own text may quote a user's sentences, the places in the code do not."""
    return "".join(traceback.format_tb(error.__traceback__))
