"""The engine: what is merged, what is computed once or not at all, what is dropped, and what it counts."""

from itertools import chain

import numpy as np
import pytest

from api.engine.jobs import Job
from api.work import Layout, Work
from tests.api.engine.running import NotingModel, all_steps, answers_of, embedding_job, engine_of, pair_job
from tests.api.tiny import SENTENCES, build_model


@pytest.fixture
def model():
    model = build_model(NotingModel)
    model.prepare()
    return model


def test_jobs_that_wait_together_are_computed_in_one_call(model):
    steps = all_steps(engine_of(model), *(embedding_job(number, text) for number, text in enumerate(SENTENCES)))
    assert [len(call) for call in model.calls] == [len(SENTENCES)]
    answers = answers_of(steps)
    expected = model.encode(SENTENCES)
    for number in range(len(SENTENCES)):
        # What a sentence is batched with may change its last bits.
        np.testing.assert_allclose(answers[number].embeddings[0], expected[number], atol=1e-6)


def test_a_sentence_is_computed_once_within_and_over_jobs(model):
    jobs = [embedding_job(1, "dog", "park", "dog"), embedding_job(2, "park", "dog"), pair_job(3, "dog", "dog")]
    steps = all_steps(engine_of(model), *jobs)
    assert [len(call) for call in model.calls] == [2]
    statistics = steps[0].statistics
    assert (statistics.sentences, statistics.tokens) == (2, sum(map(len, model.calls[0])))
    assert statistics.repeated == 5, "seven sentences came, two were computed"
    answers = answers_of(steps)
    np.testing.assert_array_equal(answers[1].embeddings, answers[2].embeddings[[1, 0, 1]])
    assert len(answers[3].embeddings) == 0


def test_what_is_cached_is_not_computed_and_has_the_same_bits(model):
    engine = engine_of(model)
    (first,) = answers_of(all_steps(engine, embedding_job(1, *SENTENCES))).values()
    (again,) = answers_of(all_steps(engine, embedding_job(2, *reversed(SENTENCES)))).values()
    assert len(model.calls) == 1
    np.testing.assert_array_equal(first.embeddings, again.embeddings[::-1])
    assert (engine.cache.hits, engine.cache.misses) == (6, 6)
    assert again.job.inference_seconds == 0.0
    (half,) = answers_of(all_steps(engine, embedding_job(3, SENTENCES[0], "man park"))).values()
    assert [len(call) for call in model.calls] == [6, 1]
    np.testing.assert_array_equal(half.embeddings[0], first.embeddings[0])


def test_without_a_cache_all_is_computed_again(model):
    engine = engine_of(model, cache_bytes=0)
    for number in range(2):
        all_steps(engine, embedding_job(number, "dog"))
    assert len(model.calls) == 2


def test_a_call_holds_no_more_tokens_than_the_budget(model):
    texts = [" ".join(["dog", "park", "man"][(number + place) % 3] for place in range(number)) for number in range(12)]
    steps = all_steps(engine_of(model, max_batch_tokens=8), embedding_job(1, *texts))
    assert all(sum(map(len, call)) <= 8 or len(call) == 1 for call in model.calls)
    assert len(model.calls) == len(steps) > 5
    assert sum(step.statistics.tokens for step in steps) == sum(len(ids) for ids in set(chain(*model.calls)))
    (answer,) = answers_of(steps).values()
    np.testing.assert_allclose(answer.embeddings, model.encode(texts), atol=1e-6)


def test_a_job_is_answered_as_soon_as_it_is_complete(model):
    engine = engine_of(model, max_batch_tokens=4)
    long = "dog park man guitar dog park man"
    engine.add([embedding_job(1, "dog", long), embedding_job(2, "park")])
    assert [answer.job.number for answer in engine.step().answers] == [2]
    assert [answer.job.number for answer in engine.step().answers] == [1]
    assert not engine.is_busy


def test_a_job_reports_the_time_of_each_call_once(model):
    (step,) = all_steps(engine_of(model), embedding_job(1, *SENTENCES))
    (answer,) = step.answers
    assert 0 < answer.job.inference_seconds <= step.statistics.seconds
    assert answer.job.tokenization_seconds > 0


def test_a_cancelled_job_is_not_computed(model):
    engine = engine_of(model)
    engine.add([embedding_job(1, "dog", "park"), embedding_job(2, "park", "man")])
    assert engine.cancel([1, 77]) == 1
    step = engine.step()
    assert [answer.job.number for answer in step.answers] == [2]
    assert sorted(model.calls[0]) == sorted(map(tuple, model.tokenizer.encode(["park", "man"])))
    assert engine.cancel([1, 2]) == 0
    engine.add([embedding_job(3, "dog")])
    assert engine.cancel([3]) == 1
    assert not engine.is_busy


def test_a_cancelled_job_that_was_in_the_cache_is_not_answered(model):
    engine = engine_of(model)
    all_steps(engine, embedding_job(1, "dog"))
    engine.add([embedding_job(2, "dog"), embedding_job(3, "dog")])
    assert engine.cancel([2]) == 1
    assert [answer.job.number for answer in engine.step().answers] == [3]


def test_a_job_cancelled_while_it_is_explained_is_explained_no_further(model):
    engine = engine_of(model)
    work = Work(["dog", *SENTENCES], Layout.one_to_many, first=1, explain=True)
    engine.add([Job(1, work, 0.0)])
    engine.step()
    assert engine.cancel([1]) == 1
    assert not engine.is_busy
    assert model.explained == 1


def test_token_counts_truncation_and_unknown_words_are_of_each_text(model):
    (answer,) = answers_of(all_steps(engine_of(model), embedding_job(1, "dog", "dog " * 20, "zebra dog"))).values()
    job = answer.job
    assert job.token_counts == [1, 12, 2]
    assert job.truncated == [False, True, False]
    assert job.unknown_ratios == [0.0, 0.0, 0.5]


def test_keeping_the_end_changes_what_is_computed(model):
    text = "guitar " * 12 + "dog park man " * 4
    jobs = [Job(number, Work([text], embeddings=True, keep=keep), 0.0) for number, keep in enumerate(("start", "end"))]
    answers = answers_of(all_steps(engine_of(model), *jobs))
    expected = model.encode(["guitar " * 12, "dog park man " * 4])
    for number in range(2):
        np.testing.assert_allclose(answers[number].embeddings[0], expected[number], atol=1e-6)
        assert answers[number].job.truncated == [True]
