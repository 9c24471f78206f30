"""Scores and explanations of the engine: every layout, both measures, big matrices in chunks."""

import numpy as np
import pytest

from api.engine import scoring
from api.engine.explaining import pairs_of
from api.engine.jobs import Job
from api.explanations import explanation_object
from api.work import Layout, Work
from tests.api.engine.running import NotingModel, all_steps, answers_of, embedding_job, engine_of
from tests.api.tiny import SENTENCES, build_model

# float32 sums in another batch may differ in the last bits.
CLOSE = {"atol": 1e-6, "rtol": 0}
WORKS = {
    "one_to_many": Work([SENTENCES[0], *SENTENCES], Layout.one_to_many, first=1),
    "many_to_one": Work([*SENTENCES, SENTENCES[1]], Layout.many_to_one, first=6),
    "pairwise": Work([*SENTENCES, *reversed(SENTENCES)], Layout.pairwise, first=6),
    "matrix": Work([*SENTENCES[:4], *SENTENCES[1:]], Layout.matrix, first=4),
    "none": Work(SENTENCES, embeddings=True),
}


@pytest.fixture
def model():
    model = build_model(NotingModel)
    model.prepare()
    return model


def expected_scores(model, work):
    pairs = pairs_of(work)
    if not pairs:
        return np.empty(0, dtype=np.float32)
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    if work.measure == "cosine":
        return model.similarity_pairwise(model.encode(first), model.encode(second)).numpy()
    return model.score(first, second)


@pytest.mark.parametrize("measure", ["head", "cosine"])
def test_every_layout_scores_its_own_pairs_however_it_is_merged(model, measure):
    works = [Work(work.texts, work.layout, work.first, measure=measure) for work in WORKS.values()]
    works += [Work(work.texts, work.layout, work.first, embeddings=True) for work in WORKS.values()]
    answers = answers_of(all_steps(engine_of(model), *(Job(number, work, 0.0) for number, work in enumerate(works))))
    for number, work in enumerate(works):
        answer = answers[number]
        assert len(answer.scores) == work.pairs
        np.testing.assert_allclose(answer.scores, expected_scores(model, work), **CLOSE)
        if work.measure == "cosine":
            assert answer.probabilities is None
        else:
            np.testing.assert_allclose(answer.probabilities, model.probability_of(answer.scores), **CLOSE)
        rows = model.encode(list(work.texts)) if work.embeddings else np.empty((0, model.embedding_size))
        np.testing.assert_allclose(answer.embeddings, rows, **CLOSE)


def test_pairs_stand_row_by_row():
    assert pairs_of(Work(["a", "b", "x", "y", "z"], Layout.matrix, first=2)) == [
        ("a", "x"), ("a", "y"), ("a", "z"), ("b", "x"), ("b", "y"), ("b", "z")
    ]  # fmt: skip
    assert pairs_of(Work(["a", "b", "x"], Layout.many_to_one, first=2)) == [("a", "x"), ("b", "x")]
    assert pairs_of(Work(["a", "x", "y"], Layout.one_to_many, first=1)) == [("a", "x"), ("a", "y")]
    assert pairs_of(Work(["a", "b"])) == []


def test_a_big_matrix_is_scored_in_chunks(model):
    words = ["dog", "park", "man", "guitar", "password"]
    texts = [f"{one} {other} {third}" for one in words for other in words for third in words]  # 125: 15,625 pairs
    sizes = []
    score_embeddings = model.score_embeddings
    model.score_embeddings = lambda one, other: (sizes.append(len(one)), score_embeddings(one, other))[1]
    work = Work([*texts, *texts], Layout.matrix, first=125)
    (answer,) = answers_of(all_steps(engine_of(model), Job(1, work, 0.0))).values()
    assert sum(sizes) == 15_625
    assert max(sizes) <= scoring._PAIRS_AT_ONCE < 15_625
    vectors = model.encode(texts)
    whole = score_embeddings(np.repeat(vectors, 125, axis=0), np.tile(vectors, (125, 1)))
    np.testing.assert_allclose(answer.scores, whole, **CLOSE)


def test_a_checkpoint_without_calibration_gives_no_probability():
    model = build_model(calibrated=False)
    (answer,) = answers_of(all_steps(engine_of(model), Job(1, WORKS["pairwise"], 0.0))).values()
    assert answer.probabilities is None


def test_every_pair_is_explained_and_others_are_answered_meanwhile(model):
    work = WORKS["one_to_many"]
    explaining = Job(1, Work(work.texts, work.layout, work.first, explain=True), 0.0)
    engine = engine_of(model)
    engine.add([explaining])
    first = engine.step()
    assert first.explained == []
    engine.add([embedding_job(2, "man")])
    assert sorted(answers_of([engine.step()])) == [2], "it does not wait for all explanations"
    (explained,) = [explained for step in all_steps(engine) for explained in step.explained]
    assert model.explained == len(pairs_of(work))
    assert explained.explanations == [explanation_object(model.explain(*pair)) for pair in pairs_of(work)]
    np.testing.assert_allclose(explained.answer.scores, expected_scores(model, work), **CLOSE)
    scores = [explanation["score"] for explanation in explained.explanations]
    np.testing.assert_allclose(explained.answer.scores, scores, atol=1e-5)  # the trainable encoder computes these
