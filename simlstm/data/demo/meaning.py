"""What a demo sentence says, apart from its words; and how alike two such meanings are."""

from typing import Literal, NamedTuple

from simlstm.data.demo.actions import ACTIONS
from simlstm.data.demo.circumstances import ATTRIBUTES, MANNERS, OPEN_TIMES, PLACES, TIMES
from simlstm.data.demo.nouns import NOUNS
from simlstm.data.demo.taxonomy import Taxonomy, relatedness

Count = int | Literal["several", "many"]

HIGHEST_SCORE = 5.0

# What a count stands for when it is compared with another one.
_SIZES = {"several": 5, "many": 20}

_ACTION_WEIGHT = 4.0
_AGENT_WEIGHT = 2.5
_PATIENT_WEIGHT = 3.0
_MISSING_PATIENT = 0.5

_COUNT_COST = 0.7
_ATTRIBUTE_COST = 0.5
_PLACE_COST = 0.25
_TIME_COST = 0.2
_MANNER_COST = 0.15
_NEGATION_COST = 0.5
# One meaning tells the place (manner, attribute), the other leaves it open: less is told, nothing contradicts.
_ONE_SIDED = 0.6


class Entity(NamedTuple):
    """Someone or something.

    Attributes:
        noun: A concept of ``NOUNS``.
        quantity: How many: a number from 1, ``several`` or ``many``.
        attribute: A concept of ``ATTRIBUTES``, or None.
    """

    noun: str
    quantity: Count = 1
    attribute: str | None = None


SOMEONE = Entity("person")


class Meaning(NamedTuple):
    """Who does what to whom, where, when and how, or does not.

    Attributes:
        agent: Who acts.
        action: A concept of ``ACTIONS``.
        patient: What is acted on; None for an action that needs nothing.
        place: A concept of ``PLACES``, or None.
        time: A concept of ``TIMES``.
        manner: A concept of ``MANNERS``, or None.
        negated: The sentence says that it is not so.
    """

    agent: Entity
    action: str
    patient: Entity | None = None
    place: str | None = None
    time: str = "now"
    manner: str | None = None
    negated: bool = False


def gold_score(first: Meaning, second: Meaning) -> float:
    """Score how alike two meanings are, from 0 (unrelated) to 5 (the same); symmetric.

    The core is the mean likeness of action (weight 4), agent (2.5) and patient (3, where there is one), each by
    the tree of its concepts. An entity loses up to 70% by another count and up to 50% by another attribute; a
    patient that only one meaning has counts half the likeness of the actions. What surrounds the core lowers the
    score in proportion: another place by up to 25%, another time by up to 20%, another manner by up to 15%,
    negation on one side by 50%. What is told on one side only costs 40% of that (time: 30%). So each slot that
    differs lowers the score whatever the others do, and two meanings without anything in common get 0.

    Returns:
        The score, rounded to two decimals as published scores are.
    """
    action = relatedness(ACTIONS, first.action, second.action)
    total = _ACTION_WEIGHT * action + _AGENT_WEIGHT * _entity_likeness(first.agent, second.agent)
    weight = _ACTION_WEIGHT + _AGENT_WEIGHT
    if first.patient is not None and second.patient is not None:
        total += _PATIENT_WEIGHT * _entity_likeness(first.patient, second.patient)
        weight += _PATIENT_WEIGHT
    elif first.patient is not None or second.patient is not None:
        total += _PATIENT_WEIGHT * _MISSING_PATIENT * action
        weight += _PATIENT_WEIGHT
    score = HIGHEST_SCORE * total / weight
    score *= _lowered(_optional_likeness(PLACES, first.place, second.place), _PLACE_COST)
    score *= _lowered(_time_likeness(first.time, second.time), _TIME_COST)
    score *= _lowered(_optional_likeness(MANNERS, first.manner, second.manner), _MANNER_COST)
    if first.negated != second.negated:
        score *= 1 - _NEGATION_COST
    return round(score, 2)


def _lowered(likeness: float, cost: float) -> float:
    return 1 - cost * (1 - likeness)


def _entity_likeness(first: Entity, second: Entity) -> float:
    likeness = relatedness(NOUNS, first.noun, second.noun)
    if first.quantity != second.quantity:
        sizes = sorted((_size(first.quantity), _size(second.quantity)))
        likeness *= _lowered(0.5 * sizes[0] / sizes[1], _COUNT_COST)
    return likeness * _lowered(_optional_likeness(ATTRIBUTES, first.attribute, second.attribute), _ATTRIBUTE_COST)


def _size(count: Count) -> int:
    return count if isinstance(count, int) else _SIZES[count]


def _optional_likeness(taxonomy: Taxonomy, first: str | None, second: str | None) -> float:
    if first == second:
        return 1.0
    if first is None or second is None:
        return _ONE_SIDED
    return 0.5 * relatedness(taxonomy, first, second)


def _time_likeness(first: str, second: str) -> float:
    if first == second:
        return 1.0
    if TIMES[first][0] != TIMES[second][0]:
        return 0.0
    return 0.7 if first in OPEN_TIMES or second in OPEN_TIMES else 0.5
