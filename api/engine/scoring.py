"""Scores of the pairs of many jobs in few calls of the pair head."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from api.engine.jobs import Job, distinct
from api.work import Layout, Work
from simlstm.models.similarity import SimilarityModel

_PAIRS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the model says of one job.

    Args:
        job: which one, with all its vectors.
        scores: [pairs] float32.
        probabilities: [pairs] float32; None without a calibration, or when the cosine was asked for.
        embeddings: [texts, D] float32; no rows unless they were wanted.
    """

    job: Job
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None
    embeddings: NDArray[np.float32]


def answer_all(model: SimilarityModel, jobs: Sequence[Job]) -> list[Answer]:
    """Score the pairs of jobs whose vectors are all there."""
    rows = [[job.vectors[key] for key in distinct(job.keys)] for job in jobs]
    starts = np.cumsum([0, *map(len, rows)])
    vectors = np.stack([vector for job_rows in rows for vector in job_rows])  # [distinct sentences of each job, D]
    places = [
        start + np.array(list(map(distinct(job.keys).__getitem__, job.keys)), dtype=np.int64)
        for job, start in zip(jobs, starts, strict=False)
    ]
    scores: dict[int, NDArray[np.float32]] = {}
    for measure in ("head", "cosine"):
        asking = [(job, place) for job, place in zip(jobs, places, strict=True) if job.work.measure == measure]
        pairs = [_pairs(job.work, place) for job, place in asking]
        if not pairs:
            continue
        first, second = (np.concatenate(side) for side in zip(*pairs, strict=True))
        values = _score(model, vectors, first, second, is_cosine=measure == "cosine")
        # As of a vector: JSON has no word for it.
        if not np.isfinite(values).all():
            raise FloatingPointError("a score is not finite")
        ends = np.cumsum([len(side) for side, _ in pairs])[:-1]
        for (job, _), own in zip(asking, np.split(values, ends), strict=True):
            scores[job.number] = own
    return [_answer(model, job, scores[job.number], vectors, place) for job, place in zip(jobs, places, strict=True)]


def _pairs(work: Work, places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the first and of the second sentence of each pair."""
    first, second = places[: work.first], places[work.first :]
    match work.layout:
        case Layout.none:
            return places[:0], places[:0]
        case Layout.pairwise:
            return first, second
        case Layout.one_to_many | Layout.many_to_one | Layout.matrix:
            return np.repeat(first, len(second)), np.tile(second, len(first))


def _score(
    model: SimilarityModel,
    vectors: NDArray[np.float32],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    *,
    is_cosine: bool,
) -> NDArray[np.float32]:
    parts = [np.empty(0, dtype=np.float32)]
    for start in range(0, len(first), _PAIRS_AT_ONCE):
        chunk = slice(start, start + _PAIRS_AT_ONCE)
        one, other = torch.from_numpy(vectors[first[chunk]]), torch.from_numpy(vectors[second[chunk]])
        parts.append(model.similarity_pairwise(one, other).numpy() if is_cosine else model.score_embeddings(one, other))
    return np.concatenate(parts)


def _answer(
    model: SimilarityModel,
    job: Job,
    scores: NDArray[np.float32],
    vectors: NDArray[np.float32],
    places: NDArray[np.int64],
) -> Answer:
    calibrated = model.calibration is not None and job.work.measure == "head"
    return Answer(
        job=job,
        scores=scores,
        probabilities=model.probability_of(scores) if calibrated else None,
        embeddings=vectors[places] if job.work.embeddings else vectors[:0],
    )
