"""Explanations of pairs, one at a time: each takes as long as a training step."""

from typing import Any

from api.explanations import explanation_object
from api.work import Layout, Work
from simlstm.models.similarity import SimilarityModel


def pairs_of(work: Work) -> list[tuple[str, str]]:
    """Return the texts of each pair, in the order of the scores."""
    first, second = list(work.texts[: work.first]), list(work.texts[work.first :])
    match work.layout:
        case Layout.none:
            return []
        case Layout.pairwise:
            return list(zip(first, second, strict=True))
        case Layout.one_to_many | Layout.many_to_one | Layout.matrix:
            return [(one, other) for one in first for other in second]


def explain_pair(model: SimilarityModel, pair: tuple[str, str]) -> dict[str, Any]:
    """Explain a pair as a JSON object."""
    return explanation_object(model.explain(*pair))
