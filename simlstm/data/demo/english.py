"""Saying a meaning in English: synonyms, active and passive, number words and digits, free order of phrases."""

from random import Random
from typing import NamedTuple

from simlstm.data.demo.choice import chance, pick, pick_word
from simlstm.data.demo.circumstances import TIMES
from simlstm.data.demo.english_phrases import ADJECTIVES, ADVERBS, NUMBERS, PLACE_PHRASES, TIME_PHRASES
from simlstm.data.demo.english_words import ENGLISH_NOUNS, ENGLISH_VERBS, EnglishVerb
from simlstm.data.demo.meaning import SOMEONE, Entity, Meaning
from simlstm.data.demo.nouns import NOUNS, SINGLE, UNCOUNTED

_VOWELS = frozenset("aeiou")


class _NounPhrase(NamedTuple):
    text: str
    is_plural: bool


def english(meaning: Meaning, rng: Random) -> str:
    """Say a meaning in one English sentence, one of the many that mean it.

    Args:
        meaning: What to say.
        rng: Chooses among words and constructions; the same state gives the same sentence.

    Returns:
        A sentence with a capital and a period.
    """
    time = pick(rng, TIME_PHRASES[meaning.time])
    place = pick(rng, PLACE_PHRASES[meaning.place]) if meaning.place else ""
    verb = pick_word(rng, ENGLISH_VERBS[meaning.action])
    adverb, before_verb = "", ""
    if meaning.manner:
        adverb = pick_word(rng, ADVERBS[meaning.manner])
        if adverb.endswith("ly") and chance(rng, 0.35):
            adverb, before_verb = "", adverb
    front, end = _arrange(time, place, rng)
    if meaning.patient and verb.has_passive and chance(rng, 0.3):
        definite = True if meaning.negated else None  # “some apples were not eaten” leaves others that were
        subject = _noun_phrase(meaning.patient, rng, negated=False, definite=definite)
        predicate = _passive(meaning, verb, before_verb, subject.is_plural, rng)
        clause = [subject.text, predicate, "by " + _noun_phrase(meaning.agent, rng, negated=False).text]
    elif meaning.time == "now" and not front and chance(rng, 0.15) and _can_exist(meaning):
        subject = _noun_phrase(meaning.agent, rng, negated=False, definite=False)
        clause = [_existence(subject, meaning.negated), before_verb, verb.gerund, _object(meaning, rng)]
    else:
        subject = _noun_phrase(meaning.agent, rng, negated=False)
        clause = [subject.text, _active(meaning, verb, before_verb, subject.is_plural, rng), _object(meaning, rng)]
    sentence = " ".join(filter(None, [front, *clause, adverb, *end]))
    if sentence[0].isdigit():
        digits, _, rest = sentence.partition(" ")
        sentence = f"{NUMBERS[int(digits)]} {rest}"
    return sentence[0].upper() + sentence[1:] + "."


def _arrange(time: str, place: str, rng: Random) -> tuple[str, list[str]]:
    """Return what goes in front of the clause, and what goes behind it."""
    if time and chance(rng, 0.35):
        return time + ("," if chance(rng, 0.5) else ""), [place]
    if place and chance(rng, 0.3):
        return place + ",", [time]
    return "", [place, time]


def _can_exist(meaning: Meaning) -> bool:
    """Tell whether “there is …” says it: of a negated meaning only when no count and attribute would be denied too."""
    agent = meaning.agent
    return not meaning.negated or (agent.quantity == 1 and agent.attribute is None and agent.noun not in SINGLE)


def _existence(subject: _NounPhrase, negated: bool) -> str:
    be = "are" if subject.is_plural else "is"
    return f"there is no {subject.text.split(' ', 1)[1]}" if negated else f"there {be} {subject.text}"


def _object(meaning: Meaning, rng: Random) -> str:
    return _noun_phrase(meaning.patient, rng, negated=meaning.negated).text if meaning.patient else ""


def _active(meaning: Meaning, verb: EnglishVerb, adverb: str, is_plural: bool, rng: Random) -> str:
    match TIMES[meaning.time][0]:
        case "now":
            helper, form = "are" if is_plural else "is", verb.gerund
        case "past":
            helper, form = ("did", verb.base) if meaning.negated else ("", verb.past)
        case "future":
            helper, form = _future(is_plural, rng), verb.base
        case _:
            helper, form = "do" if is_plural else "does", verb.base
            if not meaning.negated:
                helper, form = "", verb.base if is_plural else verb.third
    if meaning.negated:
        helper = _negate(helper, rng)
    return " ".join(filter(None, [helper, adverb, form]))


def _passive(meaning: Meaning, verb: EnglishVerb, adverb: str, is_plural: bool, rng: Random) -> str:
    be = "are" if is_plural else "is"
    match TIMES[meaning.time][0]:
        case "now":
            helper, form = be, "being"
        case "past":
            helper, form = "were" if is_plural else "was", ""
        case "future":
            helper, form = _future(is_plural, rng), "be"
        case _:
            helper, form = be, ""
    if meaning.negated:
        helper = _negate(helper, rng)
    return " ".join(filter(None, [helper, form, adverb, verb.participle]))


def _future(is_plural: bool, rng: Random) -> str:
    return pick(rng, ("will", "will", "are going to" if is_plural else "is going to"))


def _negate(helper: str, rng: Random) -> str:
    """Put “not” behind the first word of a helper, sometimes as a contraction."""
    first, _, rest = helper.partition(" ")
    if chance(rng, 0.4):
        first = "won't" if first == "will" else first + "n't"
    else:
        first += " not"
    return f"{first} {rest}".strip()


def _noun_phrase(entity: Entity, rng: Random, *, negated: bool, definite: bool | None = None) -> _NounPhrase:
    """Say an entity; ``definite`` None: either; ``negated``: the object of a negated verb (any apples)."""
    noun = pick_word(rng, ENGLISH_NOUNS[entity.noun])
    if entity.noun in UNCOUNTED:
        return _NounPhrase(noun.singular, is_plural=False)
    adjective = pick_word(rng, ADJECTIVES[entity.attribute]) if entity.attribute else ""
    if definite is None:
        if entity == SOMEONE and chance(rng, 0.4):
            return _NounPhrase(pick(rng, ("someone", "somebody")), is_plural=False)
        definite = chance(rng, 0.35)
    if isinstance(entity.quantity, int):
        is_plural = entity.quantity > 1
        head = _join(adjective, noun.plural if is_plural else noun.singular)
        if noun.units:
            head = f"{noun.units[is_plural]} of {_join(adjective, noun.singular)}"
        return _NounPhrase(_join(_determiner(entity.quantity, head, definite, rng), head), is_plural)
    choices: tuple[str, ...] = ("some", "") if noun.units else ("some", "several", "a few", "")
    if entity.quantity == "many":
        choices = ("a lot of", "lots of") if noun.units and not noun.always_plural else ("many", "a lot of", "lots of")
    elif definite:
        choices = ("the",)
    elif negated:
        choices = ("any",)
    elif NOUNS[entity.noun][0] in {"people", "animal"} and chance(rng, 0.15):
        return _NounPhrase(_join("a group of", adjective, noun.plural), is_plural=False)
    is_plural = not noun.units or noun.always_plural
    return _NounPhrase(_join(pick(rng, choices), adjective, noun.singular if noun.units else noun.plural), is_plural)


def _determiner(count: int, head: str, definite: bool, rng: Random) -> str:
    if count == 1:
        if definite:
            return "the"
        return "one" if chance(rng, 0.08) else ("an" if head[0] in _VOWELS else "a")
    number = str(count) if chance(rng, 0.35) else NUMBERS[count]
    if count == 2 and chance(rng, 0.15):
        number = "a couple of"
    return f"the {number}" if definite and not number.startswith("a ") else number


def _join(*words: str) -> str:
    return " ".join(filter(None, words))
