"""Texts to ids, for all jobs that have arrived together."""

import logging
import time
from array import array
from collections.abc import Sequence

from api.engine.embedding import places
from api.engine.jobs import Failed, Job
from simlstm.models.similarity import SimilarityModel

logger = logging.getLogger(__name__)


def tokenize(model: SimilarityModel, jobs: Sequence[Job]) -> list[Failed]:
    """Tokenize jobs in place, together, and each alone when that fails.

    Returns:
        The jobs whose texts cannot be tokenized; they have no keys.
    """
    started = time.perf_counter()
    failed: list[Failed] = []
    for keep in ("start", "end"):
        together = [job for job in jobs if job.work.keep == keep]
        try:
            _tokenize(model, together)
        except Exception as error:
            logger.warning("tokenizing %d requests failed with %s", len(together), type(error).__name__)
            for job in together:
                try:
                    _tokenize(model, [job])
                except Exception as own:
                    logger.error("the tokenizer failed with %s\n%s", type(own).__name__, places(own))
                    failed.append(Failed(job, type(own).__name__))
    seconds = time.perf_counter() - started
    for job in jobs:
        job.tokenization_seconds = seconds
    return failed


def _tokenize(model: SimilarityModel, jobs: Sequence[Job]) -> None:
    if not jobs:
        return
    texts = [text for job in jobs for text in job.work.texts]
    told = iter(model.tokenizer.encode_told(texts, max_tokens=model.max_tokens, keep=jobs[0].work.keep))
    for job in jobs:
        own = [next(told) for _ in job.work.texts]
        job.keys = [array("I", ids).tobytes() for ids, _, _ in own]
        job.token_counts = [len(ids) for ids, _, _ in own]
        job.truncated = [truncated for _, truncated, _ in own]
        job.unknown_ratios = [ratio for _, _, ratio in own]
