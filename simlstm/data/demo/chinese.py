"""Saying a meaning in Chinese: synonyms, 把 and 被, 有, places and times in front, number words and digits."""

from random import Random
from typing import NamedTuple

from simlstm.data.demo.chinese_nouns import definite_phrase, noun_phrase, object_phrase
from simlstm.data.demo.chinese_phrases import ADVERBS, PLACE_PHRASES, TIME_PHRASES
from simlstm.data.demo.chinese_words import CHINESE_NOUNS, verbs_for
from simlstm.data.demo.choice import chance, pick, pick_word
from simlstm.data.demo.circumstances import TIMES
from simlstm.data.demo.meaning import SOMEONE, Meaning
from simlstm.data.demo.nouns import SINGLE
from simlstm.data.demo.rules import RULES


class _Clause(NamedTuple):
    """A clause before its aspect: what it is about, and what is said of it, ``|`` where 了 would stand."""

    subject: str
    body: str


def chinese(meaning: Meaning, rng: Random) -> str:
    """Say a meaning in one Chinese sentence, one of the many that mean it.

    Args:
        meaning: What to say.
        rng: Chooses among words and constructions; the same state gives the same sentence.

    Returns:
        A sentence that ends with 。
    """
    place = pick(rng, PLACE_PHRASES[meaning.place]) if meaning.place else ""
    manner = pick(rng, ADVERBS[meaning.manner]) if meaning.manner else ""
    if "posture" in RULES[meaning.action].flags:
        return _posture(meaning, place, manner, rng)
    clause = _disposal(meaning, manner, rng) or _active(meaning, manner, rng)
    if meaning.time == "now" and not clause.subject and chance(rng, 0.3):
        existence = _existence(meaning, place, clause.body, rng)
        if existence:
            return existence
    subject = clause.subject or noun_phrase(meaning.agent, rng)
    in_front = bool(place) and chance(rng, 0.25)
    predicate = _aspect(meaning, "" if in_front else place, clause.body, rng)
    return _arrange(subject, predicate, pick(rng, TIME_PHRASES[meaning.time]), place if in_front else "", rng)


def _active(meaning: Meaning, manner: str, rng: Random) -> _Clause:
    verb = verbs_for(meaning.action, meaning.agent.noun, meaning.patient.noun if meaning.patient else None)
    body = pick_word(rng, verb.verbs)
    if meaning.patient:
        body = body.replace("{}", object_phrase(meaning, rng))
    return _Clause("", manner + body)


def _disposal(meaning: Meaning, manner: str, rng: Random) -> _Clause | None:
    """Say it with 把 or 被 sometimes, where the verb and the time allow it."""
    tense = TIMES[meaning.time][0]
    if meaning.patient is None or tense == "habit":
        return None
    verb = verbs_for(meaning.action, meaning.agent.noun, meaning.patient.noun)
    if tense != "now" and verb.disposed and chance(rng, 0.25):
        thing = definite_phrase(meaning.patient, rng)
        return _Clause(noun_phrase(meaning.agent, rng), f"{manner}把{thing}{pick(rng, verb.disposed)}|")
    results = verb.suffering if tense == "now" else verb.suffered
    if results and chance(rng, 0.3):
        body = f"被{noun_phrase(meaning.agent, rng)}{manner}{pick(rng, results)}|"
        return _Clause(definite_phrase(meaning.patient, rng), body)
    return None


def _aspect(meaning: Meaning, place: str, body: str, rng: Random) -> str:
    """Put place, aspect and negation to what is said."""
    where = f"在{place}" if place else ""
    plain = body.replace("|", "")
    not_yet = pick(rng, ("没有", "没"))
    match TIMES[meaning.time][0]:
        case "now" if meaning.negated:
            return not_yet + (where or ("" if body.startswith("被") else "在")) + plain
        case "now":
            return ("正" if not where or chance(rng, 0.5) else "") + (where or "在") + plain
        case "past":
            return not_yet + where + plain if meaning.negated else where + body.replace("|", "了", 1)
        case "future":
            return ("不会" if meaning.negated else pick(rng, ("会", "要", "将", "将会"))) + where + plain
        case _:
            return ("不" if meaning.negated else pick(rng, ("都", "都", ""))) + where + plain


def _existence(meaning: Meaning, place: str, body: str, rng: Random) -> str:
    """Say that there is someone who does it, or no one; empty when it cannot be said so."""
    under_way = pick(rng, ("正在", "在"))
    plain = body.replace("|", "")
    if meaning.negated:
        if meaning.agent.quantity != 1 or meaning.agent.attribute or meaning.agent.noun in SINGLE:
            return ""
        noun = pick(rng, CHINESE_NOUNS[meaning.agent.noun].words)
        return f"没有{noun}在{place}{plain}。"
    agent = noun_phrase(meaning.agent, rng, definite=False)
    if meaning.agent == SOMEONE and chance(rng, 0.6):
        agent = "人"
    if place and chance(rng, 0.6):
        return f"{place}有{agent}{under_way}{plain}。"
    return f"有{agent}{under_way}{place}{plain}。"


def _posture(meaning: Meaning, place: str, manner: str, rng: Random) -> str:
    """Say a lasting state: 坐着, 坐在, 穿着."""
    verb = verbs_for(meaning.action, meaning.agent.noun, meaning.patient.noun if meaning.patient else None)
    stem = pick(rng, verb.verbs).partition("着")[0]
    time = pick(rng, TIME_PHRASES[meaning.time])
    not_so = pick(rng, ("没有", "没")) if meaning.negated else ""
    if meaning.patient:
        predicate = f"{not_so or manner}{stem}{'' if not_so else '着'}{object_phrase(meaning, rng)}"
    elif place and not not_so and not time and chance(rng, 0.3):
        agent = noun_phrase(meaning.agent, rng, definite=False)
        return f"{place}有{agent}{manner}{stem}着。" if manner or chance(rng, 0.4) else f"{place}{stem}着{agent}。"
    elif place:
        predicate = not_so + pick(rng, (f"在{place}{manner}{stem}着", f"{manner}{stem}在{place}"))
    else:
        predicate = f"{not_so}{manner}{stem}着"
    return _arrange(noun_phrase(meaning.agent, rng), predicate, time, "", rng)


def _arrange(subject: str, predicate: str, time: str, place_in_front: str, rng: Random) -> str:
    front = f"在{place_in_front}，" if place_in_front else ""
    if time and chance(rng, 0.5):
        comma = "，" if not front and chance(rng, 0.4) else ""
        return f"{time}{comma}{front}{subject}{predicate}。"
    return f"{front}{subject}{time}{predicate}。"
