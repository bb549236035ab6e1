"""What may be in a dictionary: only what many people's bodies say, word for word."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from requests_app import common_text
from requests_app.common_text import PEOPLE, Sample, common, joined

WORDS = ("alpha,", "beta.", "gamma", "delta:", '"epsilon",', "\n", "{zeta}")
bodies = st.lists(st.sampled_from(WORDS), max_size=12).map(lambda words: "".join(words).encode())
people = st.integers(0, PEOPLE + 2).map(lambda number: f"user-{number}" if number else "")


def people_who_said(run: bytes, samples: list[Sample]) -> set[str]:
    return {person for person, data in samples if person and run in data}


@given(st.lists(st.builds(Sample, people, bodies), max_size=60))
def test_every_common_run_was_said_by_many_people(samples):
    for run in common(samples):
        assert len(people_who_said(run, samples)) >= PEOPLE


@given(st.lists(bodies, max_size=30))
def test_what_nobody_is_named_for_is_nobodys(said):
    assert not common([Sample("", data) for data in said])


@given(st.lists(st.builds(Sample, people, bodies), max_size=40), st.randoms())
def test_the_order_of_bodies_changes_nothing(samples, chance):
    shuffled = list(samples)
    chance.shuffle(shuffled)
    assert common(samples) == common(shuffled)


SYSTEM = b'{"role":"system","content":"You are the assistant of Acme. Answer shortly, name your sources, be kind."},'


def asked(number: int, text: bytes) -> Sample:
    return Sample(f"user-{number}", b'{"messages":[' + SYSTEM + b'{"role":"user","content":"' + text + b'"}]}')


def test_a_prompt_all_send_is_in_it_and_what_each_says_is_not():
    samples = [asked(n, b"my number is %d-%d, call me." % (n * 7919, n)) for n in range(PEOPLE)]
    text = joined(common(samples), most=10_000)
    assert b"You are the assistant of Acme. Answer shortly, name your" in text and b" kind." in text
    assert not [n for n in range(PEOPLE) if b"is %d" % (n * 7919) in text]


def test_one_person_however_often_is_one_person():
    secret = b"The diagnosis is in, and it is not good. Nobody may know."
    samples = [asked(0, secret)] * 50 + [asked(n, b"Hello.") for n in range(1, PEOPLE + 1)]
    assert b"diagnosis" not in joined(common(samples), most=10_000)


def test_two_common_sentences_only_one_person_puts_together_are_not_put_together():
    first, second = b"I was at the clinic.", b"I owe you money."
    samples = [asked(n, first if n % 2 else second) for n in range(PEOPLE * 2)] + [asked(0, first + second)]
    runs = common(samples)
    assert b"clinic.I" not in b"|".join(runs)
    assert [run for run in runs if b"clinic." in run] and [run for run in runs if b"owe" in run]


def test_the_most_often_said_stands_last_and_nothing_is_longer_than_asked():
    samples = [asked(n, b"Rarely, but said.") for n in range(PEOPLE)] + [
        asked(n, b"Hello there, world.") for n in range(PEOPLE, PEOPLE * 9)
    ]
    runs = common(samples)
    text = joined(runs, most=10_000)
    assert text.index(b"Rarely") < text.index(b"Hello there")
    assert all(len(joined(runs, most=most)) <= most for most in (0, 10, 50, 100))


@given(st.binary(max_size=400))
def test_pieces_are_the_whole_body(data):
    assert b"".join(common_text._PIECE.findall(data)) == data
