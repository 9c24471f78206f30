"""Drawing meanings that make sense."""

from collections import defaultdict
from itertools import product
from random import Random
from typing import TypeVar

from simlstm.data.demo.choice import chance, pick
from simlstm.data.demo.circumstances import ATTRIBUTES, DESCRIBED, HABITATS, PLACES, TIMES
from simlstm.data.demo.meaning import Count, Entity, Meaning
from simlstm.data.demo.nouns import NOUNS, SINGLE
from simlstm.data.demo.rules import RULES, Action
from simlstm.data.demo.taxonomy import ordered, select


def _weight(rule: Action) -> int:
    """Return how often an action is drawn: more often for more things that it is done to, so that each occurs."""
    things = {patient for _, patient in rule.pairs if patient and NOUNS[patient][0] not in {"people", "animal"}}
    return next(weight for weight, least in ((6, 30), (5, 20), (4, 8), (3, 0)) if len(things) >= least)


# Drawn evenly, so what stands more often comes more often: actions on many things, and whom people speak of most.
_ACTIONS = tuple(action for action, rule in RULES.items() for _ in range(_weight(rule)))
_COMMON_NOUNS = frozenset(
    select(
        NOUNS,
        "man woman boy girl child person dog cat bird horse car bus bicycle apple bread cake egg noodles coffee water "
        "guitar piano football basketball hat shirt chair table cup book letter song movie phone computer key ball "
        "flower tree house door",
    )
)
_COUNTS: tuple[Count, ...] = (*(1,) * 16, 2, 2, 2, 2, 2, 3, 3, 3, 4, 5, "several", "several", "several", "many")
_LARGE_COUNTS: tuple[Count, ...] = (4, 5, 6, 7, 8, 9, 10, "many")
_TIMES = (*("now",) * 14, *("past",) * 3, *TIMES)
_LASTING_TIMES = frozenset({"now", "yesterday", "last_night", "this_morning"})
_UNDER_WAY = frozenset({"now", "every_day", "weekends"})
# An attribute of who acts with a manner that contradicts it, or says it again.
_CLASHING = frozenset(product(("happy", "sad", "angry"), ("happily", "angrily")))

_ATTRIBUTES_OF: dict[str, tuple[str, ...]] = {
    noun: tuple(attribute for attribute in ATTRIBUTES if noun in DESCRIBED[attribute]) for noun in NOUNS
}
_PLACES_OF = {
    (action, noun): ordered(PLACES, set(rule.places) & HABITATS.get(noun, set(PLACES)))
    for action, rule in RULES.items()
    for noun in {agent for agent, _ in rule.pairs}
}


def _actions_of_pairs() -> dict[tuple[str, str | None], tuple[str, ...]]:
    found: defaultdict[tuple[str, str | None], list[str]] = defaultdict(list)
    for action, rule in RULES.items():
        for pair in rule.pairs:
            found[pair].append(action)
    return {pair: tuple(actions) for pair, actions in found.items()}


Noun = TypeVar("Noun", bound=str | None)

# What each agent can do with each patient, in the order of the rules.
ACTIONS_OF_PAIR = _actions_of_pairs()


def places_of(meaning: Meaning) -> tuple[str, ...]:
    """Return where this action of this agent can happen."""
    return _PLACES_OF[meaning.action, meaning.agent.noun]


def attributes_of(noun: str) -> tuple[str, ...]:
    """Return what a noun can be called: a guitar is not hungry."""
    return _ATTRIBUTES_OF[noun]


def draw_count(rng: Random) -> Count:
    """Draw a count, one more often than ten."""
    return pick(rng, _LARGE_COUNTS) if chance(rng, 0.05) else pick(rng, _COUNTS)


def draw_time(rng: Random) -> str:
    """Draw a time, the present more often than the others."""
    return pick(rng, _TIMES)


def pick_noun(rng: Random, nouns: tuple[Noun, ...]) -> Noun:
    """Return one of these nouns, rather a common one than a rare one, as in what people say."""
    if chance(rng, 0.5):
        nouns = tuple(noun for noun in nouns if noun in _COMMON_NOUNS) or nouns
    return pick(rng, nouns)


def draw_meaning(rng: Random) -> Meaning:
    """Draw a meaning that makes sense: any action, with an agent and a patient that it goes with."""
    while True:
        action = pick(rng, _ACTIONS)
        rule = RULES[action]
        agents, patients = rule.frames[0] if chance(rng, 0.7) else pick(rng, rule.frames)
        agent, patient = pick_noun(rng, agents), pick_noun(rng, patients)
        places = _PLACES_OF[action, agent]
        meaning = settle(
            Meaning(
                agent=_draw_entity(agent, rng),
                action=action,
                patient=_draw_entity(patient, rng) if patient else None,
                place=pick(rng, places) if places and chance(rng, 0.55) else None,
                time=draw_time(rng),
                manner=pick(rng, rule.manners) if rule.manners and chance(rng, 0.25) else None,
                negated=chance(rng, 0.15),
            )
        )
        if meaning:
            return meaning


def _draw_entity(noun: str, rng: Random) -> Entity:
    attributes = _ATTRIBUTES_OF[noun]
    return Entity(noun, draw_count(rng), pick(rng, attributes) if attributes and chance(rng, 0.25) else None)


def settle(meaning: Meaning) -> Meaning | None:
    """Return a meaning that people would say: this one, with what does not fit taken away; None when that fails.

    Nobody drinks a car; what takes an instant is not under way; several people do not wear one hat. A manner is not
    denied (“did not run slowly” leaves open whether anyone ran), nor a habit (“does not run every day” runs on some).
    """
    agent, action, patient, place, time, manner, negated = meaning
    rule = RULES[action]
    agent = _settle_entity(agent)
    if (agent.noun, patient.noun if patient else None) not in rule.pairs or not _time_fits(rule, time, negated):
        return None
    if "many" in rule.flags and agent.quantity == 1:
        return None
    if patient:
        patient = _settle_entity(patient)
        if patient.noun not in SINGLE:
            if "one" in rule.flags:
                patient = Entity(patient.noun, 1 if agent.quantity == 1 else "several", patient.attribute)
            elif "each" in rule.flags and agent.quantity != 1 and patient.quantity == 1:
                patient = Entity(patient.noun, "several", patient.attribute)
    if negated or manner not in rule.manners or (manner == "alone" and agent.quantity != 1):
        manner = None
    if (agent.attribute, manner) in _CLASHING:
        manner = None
    if place not in _PLACES_OF[action, agent.noun]:
        place = None
    return Meaning(agent, action, patient, place, time, manner, negated)


def _settle_entity(entity: Entity) -> Entity:
    noun, count, attribute = entity
    if noun in SINGLE:
        count = 1
    return Entity(noun, count, attribute if attribute in _ATTRIBUTES_OF[noun] else None)


def _time_fits(rule: Action, time: str, negated: bool) -> bool:
    return not (
        (negated and time == "every_day")
        or ("instant" in rule.flags and time in _UNDER_WAY)
        or ("posture" in rule.flags and time not in _LASTING_TIMES)
    )
