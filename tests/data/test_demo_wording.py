"""The sentences of the demo corpus: grammar of both languages."""

import re
from random import Random

import pytest

from simlstm.data.demo.chinese import chinese
from simlstm.data.demo.chinese_nouns import object_phrase
from simlstm.data.demo.chinese_phrases import ADJECTIVES as CHINESE_ADJECTIVES
from simlstm.data.demo.chinese_words import CHINESE_NOUNS, CHINESE_VERBS
from simlstm.data.demo.circumstances import ATTRIBUTES, MANNERS, PLACES, TIMES
from simlstm.data.demo.english import english
from simlstm.data.demo.english_phrases import ADVERBS, PLACE_PHRASES, TIME_PHRASES
from simlstm.data.demo.english_words import ENGLISH_NOUNS, ENGLISH_VERBS, inflect, plural
from simlstm.data.demo.meaning import Entity, Meaning
from simlstm.data.demo.nouns import NOUNS, UNCOUNTED
from simlstm.data.demo.rules import RULES
from simlstm.data.demo.sampling import draw_meaning

SAID = [(draw_meaning(rng), rng) for rng in map(Random, range(3_000))]
ENGLISH = [(meaning, english(meaning, rng)) for meaning, rng in SAID]
CHINESE = [(meaning, chinese(meaning, rng)) for meaning, rng in SAID]


def ways(speak, meaning, count=200):
    return {speak(meaning, Random(seed)) for seed in range(count)}


def test_english_sentences_are_well_formed():
    for _, sentence in ENGLISH:
        assert re.fullmatch(r"[A-Z][A-Za-z0-9é' ,-]*\.", sentence), sentence
        assert "  " not in sentence
        assert " ," not in sentence
        assert sentence.count(",") <= 1


def test_chinese_sentences_are_well_formed():
    for _, sentence in CHINESE:
        assert re.fullmatch(r"[0-9\u4e00-\u9fff，]+。", sentence), sentence
        assert "，，" not in sentence
        for doubled in ("的的", "了了", "正正", "没没", "们们", "里里", "一些些", "个个"):
            assert doubled not in sentence


def test_articles_fit_the_next_sound():
    for _, sentence in ENGLISH:
        for article, word in re.findall(r"\b(an?) (\w+)", sentence.lower()):
            assert (article == "an") == (word[0] in "aeiou"), sentence


def test_subject_and_verb_agree():
    plural_subject = Meaning(Entity("dog", 2), "run", place="park")
    for sentence in ways(english, plural_subject):
        assert "is" not in sentence.split()
        assert "dogs" in sentence or "hounds" in sentence
    for sentence in ways(english, plural_subject._replace(agent=Entity("dog"))):
        assert "are" not in sentence.split()
        assert "dogs" not in sentence
    habit = Meaning(Entity("woman"), "work", time="weekends")
    assert all("works" in sentence or "does some work" in sentence for sentence in ways(english, habit))
    passive = Meaning(Entity("man"), "eat", Entity("apple", 3), time="past")
    assert all("was" not in sentence.split() for sentence in ways(english, passive))


def test_numbers_go_with_plurals_and_one_with_the_singular():
    for noun, forms in ENGLISH_NOUNS.items():
        if noun in UNCOUNTED:
            continue
        singulars = "|".join(form.units[0] if form.units else form.singular for form in forms)
        plurals = "|".join(form.units[1] if form.units else form.plural for form in forms)
        found = {count: ways(english, Meaning(Entity("man"), "buy", Entity(noun, count)), 10) for count in (1, 4)}
        assert all(re.search(rf"\b(4|four) ({plurals})\b", said, re.I) for said in found[4]), found[4]
        one = rf"\b(an?|one|the) ({singulars})\b|\bsome(one|body)\b"
        assert all(re.search(one, said, re.I) for said in found[1]), found[1]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("woman", "women"), ("child", "children"), ("mouse", "mice"), ("fish", "fish"), ("wolf", "wolves"),
        ("bus", "buses"), ("box", "boxes"), ("peach", "peaches"), ("baby", "babies"), ("boy", "boys"),
        ("key", "keys"), ("tomato", "tomatoes"), ("photo", "photos"), ("knife", "knives"), ("giraffe", "giraffes"),
        ("police officer", "police officers"), ("ice cream", "ice creams"),
    ],
)  # fmt: skip
def test_plurals(word, expected):
    assert plural(word) == expected


@pytest.mark.parametrize(
    ("base", "forms"),
    [
        ("eat", ("eats", "ate", "eaten", "eating")),
        ("carry", ("carries", "carried", "carried", "carrying")),
        ("play", ("plays", "played", "played", "playing")),
        ("hug", ("hugs", "hugged", "hugged", "hugging")),
        ("lie", ("lies", "lay", "lain", "lying")),
        ("ride", ("rides", "rode", "ridden", "riding")),
        ("push", ("pushes", "pushed", "pushed", "pushing")),
        ("go fishing", ("goes fishing", "went fishing", "gone fishing", "going fishing")),
        ("have a meal", ("has a meal", "had a meal", "had a meal", "having a meal")),
        ("ski", ("skis", "skied", "skied", "skiing")),
        ("sip", ("sips", "sipped", "sipped", "sipping")),
        ("carve*", ("carves", "carved", "carved", "carving")),
    ],
)
def test_verb_forms(base, forms):
    verb = inflect(base)
    assert (verb.third, verb.past, verb.participle, verb.gerund) == forms
    assert verb.has_passive == (not base.endswith("*"))


def test_a_group_and_many_are_said():
    several = ways(english, Meaning(Entity("dog", "several"), "run"))
    assert any(said.startswith("A group of dogs is") for said in several)
    assert any(said.startswith("Several dogs are") for said in several)
    milk = ways(english, Meaning(Entity("man"), "drink", Entity("milk", "many")))
    assert any("a lot of milk" in said for said in milk)
    assert not any("many" in said for said in milk)


def test_newcomers_sentences_can_be_said():
    playing = Meaning(Entity("man"), "play_instrument", Entity("guitar"))
    assert "A man is playing a guitar." in ways(english, playing, 500)
    unsold = Meaning(Entity("woman"), "buy", Entity("book", 3), time="past", negated=True)
    assert "The woman did not buy three books." in ways(english, unsold, 3_000)
    assert "两只狗在公园里跑。" in ways(chinese, Meaning(Entity("dog", 2), "run", place="park"), 3_000)
    assert "一个男人正在弹吉他。" in ways(chinese, playing, 3_000)


def test_constructions_of_english():
    said = ways(english, Meaning(Entity("man"), "buy", Entity("book", 3), "shop", "yesterday"))
    assert any("bought by" in sentence for sentence in said)
    assert any(sentence.startswith("Yesterday") for sentence in said)
    assert any(sentence.startswith(("In the shop,", "In the store,")) for sentence in said)
    assert any("3 books" in sentence for sentence in said)
    assert any("three books" in sentence for sentence in said)
    assert any("purchased" in sentence for sentence in said)
    present = ways(english, Meaning(Entity("man"), "buy", Entity("book")), 400)
    assert any(sentence.startswith("There is a man") for sentence in present)
    denied = ways(english, Meaning(Entity("man"), "buy", Entity("book"), negated=True), 400)
    assert any(sentence.startswith("There is no man") for sentence in denied)
    assert any("isn't" in sentence for sentence in denied)


def test_constructions_of_chinese():
    said = ways(chinese, Meaning(Entity("man"), "buy", Entity("book", 3), "shop", "yesterday"), 400)
    assert any("把" in sentence for sentence in said)
    assert any("被" in sentence for sentence in said)
    assert any(sentence.startswith(("昨天", "昨日")) for sentence in said)
    assert any(sentence.startswith("在") for sentence in said)
    assert any("3本" in sentence for sentence in said)
    assert any("三本" in sentence for sentence in said)
    present = ways(chinese, Meaning(Entity("man"), "sit", place="park"), 400)
    assert any(re.match("公园里?坐着一[个名]男", sentence) for sentence in present)
    assert any("坐在公园" in sentence for sentence in present)
    someone = ways(chinese, Meaning(Entity("person"), "sing", place="park"), 400)
    assert any(sentence.startswith("公园里有人") for sentence in someone)
    nobody = ways(chinese, Meaning(Entity("man"), "sing", negated=True), 400)
    assert any(sentence.startswith("没有男") for sentence in nobody)


def test_two_before_a_measure_word_is_liang():
    for _, sentence in CHINESE:
        assert not re.search("二", sentence)


def test_every_word_of_both_languages_is_there():
    assert set(CHINESE_NOUNS) == set(ENGLISH_NOUNS) == set(NOUNS)
    assert set(CHINESE_VERBS) == set(ENGLISH_VERBS) == set(RULES)
    assert set(PLACE_PHRASES) == set(PLACES)
    assert set(TIME_PHRASES) == set(TIMES)
    assert set(ADVERBS) == set(MANNERS)
    assert set(CHINESE_ADJECTIVES) == set(ATTRIBUTES)
    assert all(noun.measures or concept in UNCOUNTED for concept, noun in CHINESE_NOUNS.items())


@pytest.mark.parametrize("action", RULES)
def test_every_action_is_said_in_both_languages(action):
    agents, patients = RULES[action].frames[0]
    patient = Entity(next(noun for noun in patients if noun != agents[0])) if patients[0] else None
    for time in ("now", "past", "future", "weekends"):
        for negated in (False, True):
            meaning = Meaning(Entity(agents[0], 2), action, patient, time=time, negated=negated)
            assert english(meaning, Random(1)).endswith(".")
            assert chinese(meaning, Random(1)).endswith("。")


def test_object_phrase_needs_a_patient():
    with pytest.raises(ValueError, match="has no patient"):
        object_phrase(Meaning(Entity("man"), "run"), Random(0))


def test_negation_is_heard():
    for meaning, sentence in ENGLISH:
        assert meaning.negated == bool(re.search(r"\bnot\b|n't\b|^There is no ", sentence)), sentence
    for meaning, sentence in CHINESE:
        assert meaning.negated == bool(re.search("没|不(?!少)", sentence)), sentence


def test_tense_is_heard():
    auxiliaries = {"now": r"\b(is|are)(n't)?\b", "future": r"\bwill\b|\bwon't\b|\bgoing to\b"}
    for meaning, sentence in ENGLISH:
        tense = TIMES[meaning.time][0]
        assert tense not in auxiliaries or re.search(auxiliaries[tense], sentence), sentence
        assert tense != "past" or not re.search(r"\b(is|are|will|does|do)\b", sentence), sentence
    for meaning, sentence in CHINESE:
        posture = "posture" in RULES[meaning.action].flags
        done = TIMES[meaning.time][0] == "past" and not meaning.negated and not posture
        assert done == ("了" in sentence.replace("上了年纪", "")), sentence
