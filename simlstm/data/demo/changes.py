"""A second meaning for a first one, so that the pair gets about the score that is wanted."""

from collections.abc import Callable
from random import Random

from simlstm.data.demo.actions import ACTIONS
from simlstm.data.demo.choice import chance, pick
from simlstm.data.demo.meaning import HIGHEST_SCORE, Entity, Meaning, gold_score
from simlstm.data.demo.nouns import NOUNS
from simlstm.data.demo.rules import RULES
from simlstm.data.demo.sampling import (
    ACTIONS_OF_PAIR,
    attributes_of,
    draw_count,
    draw_meaning,
    draw_time,
    places_of,
    settle,
)
from simlstm.data.demo.taxonomy import Taxonomy, relatedness

_TRIES = 12
_TOLERANCE = 0.3


def partner(meaning: Meaning, wanted: float, rng: Random) -> Meaning | None:
    """Return a meaning whose score with ``meaning`` is near ``wanted``; None when a few proposals were not."""
    if wanted >= HIGHEST_SCORE:
        return meaning
    for _ in range(_TRIES):
        proposal = _propose(meaning, wanted, rng)
        if proposal and proposal != meaning and abs(gold_score(meaning, proposal) - wanted) <= _TOLERANCE:
            return proposal
    return None


def _propose(meaning: Meaning, wanted: float, rng: Random) -> Meaning | None:
    if wanted < 1.5 and chance(rng, 0.7):
        return _distractor(meaning, rng)
    if wanted < 3.0 and chance(rng, 0.3):
        return settle(_swapped(meaning))
    for _ in range(1 + int((HIGHEST_SCORE - wanted) * rng.random() * 1.2)):
        meaning = settle(pick(rng, _CHANGES)(meaning, rng)) or meaning
    return meaning


def _distractor(meaning: Meaning, rng: Random) -> Meaning | None:
    """Say something else in the same surroundings: many words in common, little meaning."""
    other = draw_meaning(rng)
    agent = other.agent._replace(quantity=meaning.agent.quantity, attribute=meaning.agent.attribute)
    patient = other.patient
    if patient and meaning.patient:
        patient = patient._replace(quantity=meaning.patient.quantity, attribute=meaning.patient.attribute)
    around = other._replace(place=meaning.place, time=meaning.time, manner=meaning.manner, negated=meaning.negated)
    return settle(around._replace(agent=agent, patient=patient))


def _swapped(meaning: Meaning) -> Meaning:
    """Let the patient act on the agent: the same words, another meaning."""
    if meaning.patient is None or meaning.patient.noun == meaning.agent.noun:
        return meaning
    return meaning._replace(agent=meaning.patient, patient=meaning.agent)


def _change_agent(meaning: Meaning, rng: Random) -> Meaning:
    agents = pick(rng, RULES[meaning.action].frames)[0]
    return meaning._replace(agent=meaning.agent._replace(noun=_near(NOUNS, meaning.agent.noun, agents, rng)))


def _change_patient(meaning: Meaning, rng: Random) -> Meaning:
    patients = tuple(noun for noun in pick(rng, RULES[meaning.action].frames)[1] if noun)
    if meaning.patient is None or not patients:
        return meaning
    return meaning._replace(patient=meaning.patient._replace(noun=_near(NOUNS, meaning.patient.noun, patients, rng)))


def _change_action(meaning: Meaning, rng: Random) -> Meaning:
    actions = ACTIONS_OF_PAIR[meaning.agent.noun, meaning.patient.noun if meaning.patient else None]
    return meaning._replace(action=_near(ACTIONS, meaning.action, actions, rng))


def _near(taxonomy: Taxonomy, concept: str, choices: tuple[str, ...], rng: Random) -> str:
    """Choose another concept: half the time one that is related, when there is one."""
    if chance(rng, 0.5):
        near = tuple(other for other in choices if other != concept and relatedness(taxonomy, concept, other) > 0.25)
        if near:
            return pick(rng, near)
    return pick(rng, choices)


def _change_count(meaning: Meaning, rng: Random) -> Meaning:
    return _change_entity(meaning, lambda entity: entity._replace(quantity=draw_count(rng)), rng)


def _change_attribute(meaning: Meaning, rng: Random) -> Meaning:
    return _change_entity(
        meaning, lambda entity: entity._replace(attribute=pick(rng, (*attributes_of(entity.noun), None))), rng
    )


def _change_entity(meaning: Meaning, change: Callable[[Entity], Entity], rng: Random) -> Meaning:
    if meaning.patient is None or chance(rng, 0.5):
        return meaning._replace(agent=change(meaning.agent))
    return meaning._replace(patient=change(meaning.patient))


def _change_place(meaning: Meaning, rng: Random) -> Meaning:
    return meaning._replace(place=pick(rng, (*places_of(meaning), None)))


def _change_manner(meaning: Meaning, rng: Random) -> Meaning:
    return meaning._replace(manner=pick(rng, (*RULES[meaning.action].manners, None)))


def _change_time(meaning: Meaning, rng: Random) -> Meaning:
    return meaning._replace(time=draw_time(rng))


def _change_negation(meaning: Meaning, rng: Random) -> Meaning:
    return meaning._replace(negated=not meaning.negated)


_CHANGES: tuple[Callable[[Meaning, Random], Meaning], ...] = (
    _change_agent,
    _change_agent,
    _change_action,
    _change_action,
    _change_patient,
    _change_patient,
    _change_count,
    _change_attribute,
    _change_place,
    _change_time,
    _change_manner,
    _change_negation,
)
