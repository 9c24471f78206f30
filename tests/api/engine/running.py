"""An engine in this process, and real models that note what they are asked, or fail at it."""

from collections.abc import Sequence

import torch

from api.engine.engine import Engine, Step
from api.engine.jobs import Job
from api.work import Layout, Work
from simlstm import SimilarityModel


class NotingModel(SimilarityModel):
    """A real model that notes the ids of every call, and fails or answers NaN where a test wants it.

    ``forbidden`` and ``unfinished`` are sentences, as ids; ``most_tokens`` is what its memory holds.
    """

    def prepare(self, *, forbidden: Sequence[str] = (), error: type[Exception] = RuntimeError) -> None:
        self.calls: list[list[tuple[int, ...]]] = []
        self.explained = 0
        self.unexplained: str | None = None
        self.forbidden = {tuple(ids) for ids in self.tokenizer.encode(list(forbidden))} if forbidden else set()
        self.error = error
        self.text = ", ".join(forbidden)
        self.unfinished: set[tuple[int, ...]] = set()
        self.most_tokens: int | None = None

    def encode_tokens(self, token_ids: Sequence[Sequence[int]], *, batch_size: int = 256) -> torch.Tensor:
        call = [tuple(ids) for ids in token_ids]
        self.calls.append(call)
        if self.most_tokens is not None and sum(map(len, call)) > self.most_tokens:
            raise self.error("no memory")
        if self.forbidden.intersection(call):
            raise self.error(f"cannot bear {self.text}")
        vectors = super().encode_tokens(token_ids, batch_size=batch_size)
        for row, ids in enumerate(call):
            if ids in self.unfinished:
                vectors[row, 0] = torch.nan
        return vectors

    def explain(self, a: str, b: str, *, integration_steps: int = 0) -> object:
        self.explained += 1
        if a == self.unexplained:
            raise self.error("cannot explain this")
        return super().explain(a, b, integration_steps=integration_steps)


def engine_of(model: SimilarityModel, *, max_batch_tokens: int = 1000, cache_bytes: int = 2**20) -> Engine:
    return Engine(model, max_batch_tokens=max_batch_tokens, cache_bytes=cache_bytes, max_age=1.0)


def embedding_job(number: int, *texts: str) -> Job:
    return Job(number, Work(texts, embeddings=True), submitted=0.0)


def pair_job(number: int, one: str, other: str) -> Job:
    return Job(number, Work((one, other), Layout.pairwise, first=1), submitted=0.0)


def all_steps(engine: Engine, *jobs: Job) -> list[Step]:
    """Add jobs, and step until nothing is left to do."""
    engine.add(jobs)
    steps = []
    while engine.is_busy:
        assert len(steps) < 10_000, "the engine never ends"
        steps.append(engine.step())
    return steps


def answers_of(steps: Sequence[Step]) -> dict[int, object]:
    return {answer.job.number: answer for step in steps for answer in step.answers}


def failures_of(steps: Sequence[Step]) -> dict[int, str]:
    return {failed.job.number: failed.error for step in steps for failed in step.failures}
