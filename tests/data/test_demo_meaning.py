"""The meanings of the demo corpus: what makes sense, and how alike two of them are."""

from itertools import product
from random import Random

import pytest

from simlstm.data.demo.actions import ACTIONS
from simlstm.data.demo.changes import partner
from simlstm.data.demo.circumstances import ATTRIBUTES, DESCRIBED, HABITATS, MANNERS, PLACES, TIMES
from simlstm.data.demo.meaning import Entity, Meaning, gold_score
from simlstm.data.demo.nouns import NOUNS
from simlstm.data.demo.rules import RULES
from simlstm.data.demo.sampling import draw_meaning, settle
from simlstm.data.demo.taxonomy import parse_taxonomy, relatedness, select

MEANINGS = [draw_meaning(Random(seed)) for seed in range(400)]

BASE = Meaning(
    agent=Entity("man", 2, "tired"),
    action="eat",
    patient=Entity("apple", 3, "red"),
    place="kitchen",
    time="yesterday",
    manner="slowly",
)
CHANGES = {
    "agent": {"agent": Entity("woman", 2, "tired")},
    "agent count": {"agent": Entity("man", 5, "tired")},
    "agent attribute": {"agent": Entity("man", 2, "happy")},
    "action": {"action": "buy"},
    "patient": {"patient": Entity("pear", 3, "red")},
    "patient count": {"patient": Entity("apple", "many", "red")},
    "patient attribute": {"patient": Entity("apple", 3)},
    "place": {"place": "park"},
    "time": {"time": "tomorrow"},
    "manner": {"manner": None},
    "negation": {"negated": True},
}


@pytest.mark.parametrize("meaning", MEANINGS[:50], ids=str)
def test_same_meaning_scores_highest(meaning):
    assert gold_score(meaning, meaning) == 5


def test_score_is_symmetric_and_in_range():
    for first, second in zip(MEANINGS, reversed(MEANINGS), strict=True):
        assert gold_score(first, second) == gold_score(second, first)
        assert 0 <= gold_score(first, second) <= 5
        assert first == second or gold_score(first, second) < 5


@pytest.mark.parametrize("change", CHANGES)
def test_each_difference_lowers_the_score(change):
    assert gold_score(BASE, BASE._replace(**CHANGES[change])) < 5


@pytest.mark.parametrize(
    ("change", "other"),
    [pair for pair in product(CHANGES, CHANGES) if pair[0].split()[0] != pair[1].split()[0]],
)
def test_score_falls_when_one_more_slot_differs(change, other):
    once = BASE._replace(**CHANGES[change])
    assert gold_score(BASE, once._replace(**CHANGES[other])) < gold_score(BASE, once)


def test_negation_weighs_more_than_count_place_time_manner():
    negated = gold_score(BASE, BASE._replace(**CHANGES["negation"]))
    assert negated == 2.5
    assert all(
        negated < gold_score(BASE, BASE._replace(**CHANGES[change]))
        for change in ("agent count", "patient count", "place", "time", "manner")
    )


def test_swapped_roles_score_low_though_all_words_are_equal():
    chase = Meaning(Entity("dog"), "chase", Entity("boy"))
    swapped = Meaning(Entity("boy"), "chase", Entity("dog"))
    assert gold_score(chase, swapped) < 2.5


def test_nearer_concepts_score_higher():
    scores = [gold_score(Meaning(Entity("dog"), "run"), Meaning(Entity(noun), "run")) for noun in
              ("dog", "puppy", "cat", "horse", "car")]  # fmt: skip
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 5


def test_nothing_in_common_scores_zero():
    assert gold_score(Meaning(Entity("dog"), "sleep"), Meaning(Entity("man"), "buy", Entity("car"))) == 0


def test_missing_patient_counts_as_half_the_action():
    eating = Meaning(Entity("man"), "eat", Entity("apple"))
    assert gold_score(Meaning(Entity("man"), "dine"), eating) < gold_score(
        eating._replace(patient=Entity("pear")), eating
    )


def test_drawn_meanings_make_sense():
    for meaning in MEANINGS:
        rule = RULES[meaning.action]
        patient = meaning.patient.noun if meaning.patient else None
        assert (meaning.agent.noun, patient) in rule.pairs
        assert meaning.place is None or meaning.place in rule.places
        assert meaning.place is None or meaning.place in HABITATS.get(meaning.agent.noun, PLACES)
        assert meaning.manner is None or (meaning.manner in rule.manners and not meaning.negated)
        assert settle(meaning) == meaning
        for entity in filter(None, (meaning.agent, meaning.patient)):
            assert entity.attribute is None or entity.noun in DESCRIBED[entity.attribute]


def test_nobody_drinks_a_car():
    assert settle(Meaning(Entity("man"), "drink", Entity("car"))) is None
    assert settle(Meaning(Entity("man"), "drink", Entity("milk"))) == Meaning(Entity("man"), "drink", Entity("milk"))


@pytest.mark.parametrize(
    "meaning",
    [
        Meaning(Entity("man"), "find", Entity("key"), time="now"),
        Meaning(Entity("man"), "sit", time="tomorrow"),
        Meaning(Entity("man"), "argue"),
        Meaning(Entity("man"), "run", time="every_day", negated=True),
    ],
    ids=lambda meaning: meaning.action,
)
def test_what_nobody_would_say_is_refused(meaning):
    assert settle(meaning) is None


def test_settling_takes_away_what_does_not_fit():
    meaning = Meaning(Entity("man", 2, "wooden"), "wear", Entity("hat", 3), "sky", "now", "slowly")
    assert settle(meaning) == Meaning(Entity("man", 2), "wear", Entity("hat", "several"))


@pytest.mark.parametrize("wanted", [0.5, 1.5, 2.5, 3.5, 4.5, 5.0])
def test_partner_is_near_the_wanted_score(wanted):
    rng = Random(7)
    found = [(meaning, partner(meaning, wanted, rng)) for meaning in MEANINGS[:100]]
    scores = [gold_score(meaning, second) for meaning, second in found if second]
    assert len(scores) > 20
    assert all(abs(score - wanted) <= 0.3 for score in scores)


def test_tables_agree():
    assert set(RULES) == set(ACTIONS)
    assert set(DESCRIBED) == set(ATTRIBUTES)
    used = {noun for rule in RULES.values() for pair in rule.pairs for noun in pair if noun}
    assert used == set(NOUNS)
    assert {place for rule in RULES.values() for place in rule.places} == set(PLACES)
    assert {manner for rule in RULES.values() for manner in rule.manners} == set(MANNERS)
    assert sum(map(len, (NOUNS, ACTIONS, PLACES, TIMES, MANNERS, ATTRIBUTES))) > 450


def test_relatedness_follows_the_tree():
    pairs = {("dog", "dog"): 1, ("dog", "puppy"): 0.75, ("dog", "cat"): 0.5, ("dog", "horse"): 0.25, ("dog", "car"): 0}
    assert {pair: relatedness(NOUNS, *pair) for pair in pairs} == pairs


def test_misspelt_tables_are_refused():
    with pytest.raises(ValueError, match="'dgo' is neither a concept nor a path"):
        select(NOUNS, "dgo")
    with pytest.raises(ValueError, match="'dog' stands twice"):
        parse_taxonomy("a.b.c: dog cat\na.b.d: dog")
    with pytest.raises(ValueError, match="has 2 levels"):
        parse_taxonomy("a.b: dog")
