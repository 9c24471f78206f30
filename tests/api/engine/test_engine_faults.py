"""The engine when the model fails: only who is at fault gets no answer, at a small price for the others."""

import math

import numpy as np
import pytest
import torch

from api.engine.embedding import BrokenModelError
from api.engine.jobs import Job
from api.work import Layout, Work
from tests.api.engine.running import (
    NotingModel,
    all_steps,
    answers_of,
    embedding_job,
    engine_of,
    failures_of,
    pair_job,
)
from tests.api.tiny import build_model

POISON = "password password password"
WORDS = ["dog", "park", "man", "guitar"]
TEXTS = [f"{one} {other} {third}" for one in WORDS for other in WORDS for third in WORDS]  # 64 distinct ones


@pytest.fixture
def model():
    model = build_model(NotingModel)
    model.prepare(forbidden=[POISON])
    return model


def right(model, answers, texts):
    expected = dict(zip(texts, model.encode(texts), strict=True))
    for answer in answers.values():
        for text, row in zip(answer.job.work.texts, answer.embeddings, strict=True):
            # Another composition of the batch may change the last bits.
            np.testing.assert_allclose(row, expected[text], atol=1e-6)


def test_a_poisoned_sentence_fails_its_own_jobs_only_after_few_calls(model):
    jobs = [embedding_job(number, text) for number, text in enumerate(TEXTS[1:])]
    jobs += [embedding_job(100, "dog", POISON), embedding_job(101, POISON, "park")]
    (step,) = all_steps(engine_of(model), *jobs)
    assert failures_of([step]) == {100: "RuntimeError", 101: "RuntimeError"}
    answers = answers_of([step])
    assert sorted(answers) == list(range(63))
    assert (step.statistics.poisoned, step.statistics.sentences) == (1, 66)
    assert len(model.calls) <= 2 + 2 * math.ceil(math.log2(66)), "one more asks whether it is the sentence's fault"
    assert step.statistics.retries <= math.ceil(math.log2(66))
    model.forbidden = set()
    right(model, answers, TEXTS[1:])


def test_many_poisoned_sentences_fail_alone(model):
    model.forbidden = {tuple(ids) for ids in model.tokenizer.encode(TEXTS[::2])}
    steps = all_steps(engine_of(model), *(embedding_job(number, text) for number, text in enumerate(TEXTS)))
    assert sorted(failures_of(steps)) == list(range(0, 64, 2))
    assert sorted(answers_of(steps)) == list(range(1, 64, 2))


def test_a_poisoned_sentence_is_tried_again_by_the_next_request(model):
    engine = engine_of(model)
    assert failures_of(all_steps(engine, embedding_job(1, POISON))) == {1: "RuntimeError"}
    model.forbidden = set()
    assert sorted(answers_of(all_steps(engine, embedding_job(2, POISON)))) == [2]


def test_the_other_sentences_of_a_failed_job_are_not_computed_later(model):
    engine = engine_of(model, max_batch_tokens=3)
    long = " ".join(["dog"] * 9)
    engine.add([embedding_job(1, POISON, long)])
    assert failures_of([engine.step()]) == {1: "RuntimeError"}
    assert not engine.is_busy
    assert len(model.calls) == 2, "the second asks whether it is the sentence's fault"


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError])
def test_without_memory_the_budget_halves_and_all_answers_are_right(model, error):
    model.prepare(error=error)
    model.most_tokens = 70
    engine = engine_of(model)
    steps = all_steps(engine, *(embedding_job(number, text) for number, text in enumerate(TEXTS)))
    answers = answers_of(steps)
    assert sorted(answers) == list(range(64))
    assert failures_of(steps) == {}
    assert 64 <= engine.budget.tokens <= 70
    assert engine.budget.halvings >= 2
    assert all(step.statistics.poisoned == 0 for step in steps)
    model.most_tokens = None
    right(model, answers, TEXTS)


def test_the_budget_goes_no_lower_than_what_failed_asks_for(model):
    model.prepare(error=MemoryError)
    model.most_tokens = 100  # of 192
    engine = engine_of(model, max_batch_tokens=8000)
    all_steps(engine, *(embedding_job(number, text) for number, text in enumerate(TEXTS)))
    assert engine.budget.halvings == 1
    assert engine.budget.tokens == 96, "half of the call that did not fit, not half of what no call ever held"


def test_both_halves_of_a_call_that_fail_lower_the_budget_once(model):
    model.prepare(error=MemoryError)
    model.most_tokens = 200
    texts = [f"{text} {word}" for text in TEXTS for word in WORDS]  # 256 of four tokens each
    engine = engine_of(model, max_batch_tokens=1024)
    all_steps(engine, *(embedding_job(number, text) for number, text in enumerate(texts)))
    assert engine.budget.tokens == 128, "1024 did not fit, 512 did not, 256 did not"


def test_the_budget_grows_again_after_calls_that_had_enough(model):
    model.prepare(error=MemoryError)
    model.most_tokens = 70
    engine = engine_of(model, max_batch_tokens=192, cache_bytes=0)
    all_steps(engine, *(embedding_job(number, text) for number, text in enumerate(TEXTS)))
    assert engine.budget.tokens < 192
    model.most_tokens = None
    for number in range(250):
        all_steps(engine, embedding_job(number, "dog"))
    assert engine.budget.tokens == 192


def test_a_sentence_too_large_for_the_memory_fails_alone(model):
    model.prepare(error=MemoryError)
    model.most_tokens = 5
    steps = all_steps(engine_of(model), embedding_job(1, "dog"), embedding_job(2, "dog " * 9), embedding_job(3, "man"))
    assert failures_of(steps) == {2: "MemoryError"}
    assert sorted(answers_of(steps)) == [1, 3]


def test_a_vector_that_is_not_finite_fails_its_jobs(model):
    model.unfinished = {tuple(model.tokenizer.encode(["park"])[0])}
    engine = engine_of(model)
    steps = all_steps(engine, pair_job(1, "dog", "park"), pair_job(2, "dog", "man"), embedding_job(3, "park"))
    assert failures_of(steps) == {1: "FloatingPointError", 3: "FloatingPointError"}
    assert sorted(answers_of(steps)) == [2]
    assert failures_of(all_steps(engine, embedding_job(4, "park"))) == {4: "FloatingPointError"}, "it was not cached"


class MisjudgingModel(NotingModel):
    """A real model whose head raises on, or gives NaN for, pairs of equal sentences."""

    answer: float | None = None

    def score_embeddings(self, embeddings1, embeddings2):
        scores = super().score_embeddings(embeddings1, embeddings2)
        equal = (embeddings1 == embeddings2).all(dim=1).numpy()
        if equal.any() and self.answer is None:
            raise ArithmeticError("equal")
        scores[equal] = self.answer
        return scores


@pytest.mark.parametrize(("answer", "error"), [(None, "ArithmeticError"), (math.nan, "FloatingPointError")])
def test_scoring_that_fails_fails_its_own_job_only(answer, error):
    model = build_model(MisjudgingModel)
    model.prepare()
    model.answer = answer
    jobs = [pair_job(1, "dog", "park"), pair_job(2, "dog", "dog"), pair_job(3, "man", "park"), embedding_job(4, "dog")]
    steps = all_steps(engine_of(model), *jobs)
    assert failures_of(steps) == {2: error}
    answers = answers_of(steps)
    assert sorted(answers) == [1, 3, 4]
    np.testing.assert_allclose(answers[1].scores, model.score(["dog"], ["park"]), atol=1e-6)


def test_an_explanation_that_fails_fails_its_own_job_only(model):
    model.unexplained = POISON
    model.forbidden = set()
    jobs = [
        Job(number, Work([one, "dog"], Layout.pairwise, first=1, explain=True), 0.0)
        for number, one in enumerate(["man", POISON, "park"])
    ]
    steps = all_steps(engine_of(model), *jobs)
    assert failures_of(steps) == {1: "RuntimeError"}
    assert [explained.answer.job.number for step in steps for explained in step.explained] == [0, 2]


def test_a_model_that_computes_nothing_any_more_ends_its_process(model):
    engine = engine_of(model)
    model.prepare(error=RuntimeError)
    model.most_tokens = 0
    engine.add([embedding_job(1, "dog")])
    with pytest.raises(BrokenModelError, match="RuntimeError"):
        engine.step()
