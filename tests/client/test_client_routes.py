"""The routes for many texts at once: every pair, and an order of documents; and the examples of docs/client.md."""

import re

import numpy as np
import pytest

from tests.api.live import REPOSITORY, LiveServer
from tests.api.tiny import SENTENCES, build_model


def test_matrix(ask, model):
    matrix = ask.call("matrix", SENTENCES[:2], SENTENCES[2:], deadline_ms=20_000)
    assert matrix.model == "tiny"
    for row, first in enumerate(SENTENCES[:2]):
        repeated = [first] * len(SENTENCES[2:])
        # Another batch than the model's own call may change the last bits of float32 sums.
        np.testing.assert_allclose(matrix.scores[row], model.score(repeated, SENTENCES[2:]), atol=1e-6)
        np.testing.assert_allclose(matrix.probabilities[row], model.probability(repeated, SENTENCES[2:]), atol=1e-6)


def test_a_matrix_without_calibration(kind):
    with LiveServer(build_model(calibrated=False)) as server:
        matrix = kind(server.url).call("matrix", ["dog"], ["dog", "park"])
    assert matrix.scores.shape == (1, 2)
    assert matrix.probabilities is None


def test_rerank(ask, model):
    ranking = ask.call("rerank", SENTENCES[0], SENTENCES)
    scores = [result.relevance_score for result in ranking.results]
    assert sorted(result.index for result in ranking.results) == list(range(len(SENTENCES)))
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    own = model.score(SENTENCES[:1] * len(SENTENCES), SENTENCES)
    assert ranking.results[0].index == int(own.argmax())
    assert ask.call("rerank", SENTENCES[0], SENTENCES, 2).results == ranking.results[:2]


def test_explanations(ask, model):
    (explained,) = ask.call("similarity", SENTENCES[0], SENTENCES[1], explain=True).results
    assert explained.explanation["cosine"] == pytest.approx(model.explain(*SENTENCES[:2]).cosine, abs=1e-6)
    assert ask.call("similarity", "dog", "park").results[0].explanation is None


def test_a_model_by_name(ask):
    assert ask.call("similarity", "dog", "park", model="tiny").model == "tiny"
    assert ask.call("score", ["dog"], ["park"], model="tiny").shape == (1,)
    assert ask.call("matrix", ["dog"], ["park"], model="tiny").model == "tiny"
    assert ask.call("rerank", "dog", ["park"], model="tiny").results[0].index == 0


EXAMPLES = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs" / "client.md").read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_documentation_run(example, server, capsys):
    exec(compile(example.replace("http://127.0.0.1:8000", server.url), "docs/client.md", "exec"), {})  # noqa: S102
