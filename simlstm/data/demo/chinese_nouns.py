"""Chinese noun phrases: number, measure word, attribute, noun."""

from random import Random

from simlstm.data.demo.chinese_phrases import ADJECTIVES, NUMBERS
from simlstm.data.demo.chinese_words import CHINESE_NOUNS
from simlstm.data.demo.choice import chance, pick, pick_word
from simlstm.data.demo.meaning import Entity, Meaning
from simlstm.data.demo.nouns import NOUNS, UNCOUNTED
from simlstm.data.demo.rules import RULES


def noun_phrase(entity: Entity, rng: Random, *, definite: bool | None = None) -> str:
    """Say someone or something; ``definite`` None: either."""
    if entity.noun in UNCOUNTED:
        return _bare(entity, rng)
    if definite is None:
        definite = chance(rng, 0.35)
    if definite:
        return definite_phrase(entity, rng)
    measure = pick(rng, CHINESE_NOUNS[entity.noun].measures)
    if isinstance(entity.quantity, int):
        return _number(entity.quantity, rng) + measure + _bare(entity, rng)
    if entity.quantity == "many":
        return pick(rng, ("很多", "许多", "不少")) + _bare(entity, rng)
    some = ("一些", f"几{measure}", "一群" if NOUNS[entity.noun][0] in {"people", "animal"} else "一些")
    return pick(rng, some) + _bare(entity, rng)


def definite_phrase(entity: Entity, rng: Random) -> str:
    """Say something that is known: 那只狗, 狗, 那些狗, 孩子们."""
    if entity.noun in UNCOUNTED:
        return _bare(entity, rng)
    this = pick(rng, ("那", "那", "这"))
    is_person = NOUNS[entity.noun][0] == "people"
    if entity.quantity == "many":
        return pick(rng, ("很多", "许多")) + _bare(entity, rng)
    if entity.quantity == "several":
        if is_person and entity.attribute is None and chance(rng, 0.5):
            return _bare(entity, rng) + "们"
        return f"{this}些{_bare(entity, rng)}"
    if entity.quantity == 1 and entity.attribute is None and entity.noun != "person" and chance(rng, 0.3):
        return _bare(entity, rng)
    number = _number(entity.quantity, rng) if entity.quantity > 1 else ""
    return this + number + pick(rng, CHINESE_NOUNS[entity.noun].measures) + _bare(entity, rng)


def object_phrase(meaning: Meaning, rng: Random) -> str:
    """Say what is acted on, behind the verb: without a number where Chinese leaves it out (弹吉他, 没有买苹果)."""
    thing = meaning.patient
    if thing is None:
        raise ValueError(f"meaning: {meaning} has no patient; one with a patient is allowed")
    if "one" in RULES[meaning.action].flags and (thing.quantity == "several" or chance(rng, 0.4)):
        return _bare(thing, rng)
    if thing.quantity == "several" and meaning.negated:
        return pick(rng, ("", "任何", "那些")) + _bare(thing, rng)
    return noun_phrase(thing, rng)


def _number(count: int, rng: Random) -> str:
    return str(count) if count > 1 and chance(rng, 0.35) else NUMBERS[count]


def _bare(entity: Entity, rng: Random) -> str:
    attribute = pick_word(rng, ADJECTIVES[entity.attribute]) if entity.attribute else ""
    return attribute + pick_word(rng, CHINESE_NOUNS[entity.noun].words)
