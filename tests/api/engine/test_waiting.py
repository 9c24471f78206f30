"""The order of waiting sentences: by length, with an age bound."""

from array import array

from hypothesis import given
from hypothesis import strategies as st

from api.engine.jobs import Job
from api.engine.waiting import WaitingSentences
from api.work import Work


def key(length, name=0):
    return array("I", [name, *range(length - 1)]).tobytes()


def job(number=0):
    return Job(number, Work([]), 0.0)


def lengths(sentences):
    return [sentence.tokens for sentence in sentences]


def test_short_ones_go_first_up_to_the_budget():
    waiting = WaitingSentences(max_age=1.0)
    for length in (5, 2, 9, 1):
        waiting.add(key(length), job(), now=0.0)
    assert lengths(waiting.take(8, now=0.5)) == [1, 2, 5]
    assert lengths(waiting.take(8, now=0.5)) == [9], "one that is larger than the budget runs alone"
    assert len(waiting) == 0


def test_one_that_has_waited_too_long_goes_before_shorter_ones():
    waiting = WaitingSentences(max_age=1.0)
    waiting.add(key(9), job(), now=0.0)
    waiting.add(key(1), job(), now=0.9)
    assert lengths(waiting.take(9, now=1.1)) == [9]
    assert lengths(waiting.take(9, now=1.1)) == [1]


def test_a_sentence_waits_once_for_all_who_want_it():
    waiting = WaitingSentences(max_age=1.0)
    one, other = job(1), job(2)
    assert waiting.add(key(3), one, now=0.0)
    assert not waiting.add(key(3), other, now=0.0)
    waiting.drop(key(3), one)
    (sentence,) = waiting.take(100, now=0.0)
    assert sentence.jobs == [other]
    waiting.add(key(3), one, now=0.0)
    waiting.drop(key(3), one)
    assert waiting.take(100, now=0.0) == []


@given(st.lists(st.tuples(st.integers(1, 30), st.floats(0, 1)), max_size=60), st.integers(1, 40))
def test_every_sentence_is_taken_once_whatever_the_order(arrivals, budget):
    waiting = WaitingSentences(max_age=0.3)
    clock, taken = 0.0, []
    for number, (length, pause) in enumerate(arrivals):
        waiting.add(key(length, number), job(number), clock)
        clock += pause
        if number % 3 == 0:
            batch = waiting.take(budget, clock)
            assert sum(lengths(batch)) <= budget or len(batch) == 1
            taken += batch
    while batch := waiting.take(budget, clock):
        taken += batch
    assert sorted(sentence.key for sentence in taken) == sorted(
        key(length, number) for number, (length, _) in enumerate(arrivals)
    )


def test_what_was_taken_by_age_is_not_remembered_forever():
    waiting = WaitingSentences(max_age=0.0)
    waiting.add(key(1), job(), now=0.0)
    for number in range(5000):
        waiting.add(key(2, number), job(), now=number)
        waiting.take(2, now=number + 1)
    assert len(waiting._by_length) + len(waiting._by_age) < 2000
