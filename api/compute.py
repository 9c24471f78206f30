"""One model call for any number of requests."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from api.jobs import Job, Outcome
from simlstm.models.similarity import SimilarityModel


@dataclass(frozen=True, slots=True)
class Computation:
    """What one model call did.

    Args:
        outcomes: one per job, in order.
        sentences: distinct sentences that were embedded.
        tokens: their tokens.
        seconds: time of the call.
    """

    outcomes: list[Outcome]
    sentences: int
    tokens: int
    seconds: float


def tokenize(model: SimilarityModel, job: Job) -> None:
    """Tokenize the job's texts in place, and count its tokens."""
    started = time.perf_counter()
    job.tokenizations = model.tokenize(job.texts)
    job.tokens = sum(len(tokenization.ids) for tokenization in job.tokenizations)
    job.tokenization_seconds = time.perf_counter() - started


@torch.inference_mode()
def compute(model: SimilarityModel, jobs: Sequence[Job]) -> Computation:
    """Embed and score tokenized jobs in one call, identical sentences once.

    Args:
        model: the model; used by the calling thread only.
        jobs: tokenized jobs.
    """
    started = time.perf_counter()
    rows: dict[tuple[int, ...], int] = {}
    job_rows = [
        [rows.setdefault(tuple(tokenization.ids), len(rows)) for tokenization in job.tokenizations or ()]
        for job in jobs
    ]
    embeddings = model.encode_tokens(list(rows))  # [distinct sentences, D]
    pairs = [(places[i], places[j]) for job, places in zip(jobs, job_rows, strict=True) for i, j in job.pairs]
    scores: list[float] = []
    probabilities: list[float] | None = None if model.calibration is None else []
    if pairs:
        first, second = torch.tensor(pairs, device="cpu").unbind(dim=1)
        merged_scores = model.score_embeddings(embeddings[first], embeddings[second])
        scores = merged_scores.tolist()
        if probabilities is not None:
            probabilities = model.probability_of(merged_scores).tolist()
    seconds = time.perf_counter() - started

    outcomes = []
    matrix = embeddings.numpy()
    position = 0
    for job, places in zip(jobs, job_rows, strict=True):
        own = slice(position, position + len(job.pairs))
        position = own.stop
        tokenizations = job.tokenizations or ()
        outcomes.append(
            Outcome(
                embeddings=matrix[places],
                scores=scores[own],
                probabilities=None if probabilities is None else probabilities[own],
                token_counts=[len(tokenization.ids) for tokenization in tokenizations],
                truncated=[tokenization.truncated for tokenization in tokenizations],
                unknown_ratios=[tokenization.unknown_ratio for tokenization in tokenizations],
                queue_seconds=job.taken - job.submitted,
                tokenization_seconds=job.tokenization_seconds,
                inference_seconds=seconds,
            )
        )
    return Computation(outcomes, sentences=len(rows), tokens=sum(map(len, rows)), seconds=seconds)
