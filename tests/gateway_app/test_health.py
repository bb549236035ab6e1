"""Which targets are passed over, by a clock of the test's own."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_app.health import HALF_LIFE, MOST, REST, SLOW_LEAST, SLOW_TIMES, Health, Place

T = Place(7, "https://t", "m")


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def health(clock):
    return Health(clock)


def fail(health, times=4, place=T):
    for _ in range(times):
        health.note(*place[:2], is_failure=True, said="HTTP 503")


def took(health, seconds, times=1, place=T):
    """As a call is timed: late from the limit on, whenever it comes."""
    for _ in range(times):
        limit = health.slow_from(place)
        is_late = limit is not None and seconds >= limit
        if is_late:
            health.late(place, limit)
        health.took(place, seconds, is_late=is_late)


def test_a_target_nobody_knows_or_that_failed_now_and_then_may_be_tried(health):
    assert health.may_try(T)
    fail(health, 3)
    assert health.may_try(T)
    for _ in range(9):
        health.note(*T[:2], is_failure=False)
    fail(health, 4)
    assert health.may_try(T)


def test_a_failing_target_rests_then_one_call_tries_it(health, clock):
    fail(health)
    assert not health.may_try(T)
    clock.now += REST
    assert [health.may_try(T), health.may_try(T)] == [True, False]
    health.note(*T[:2], is_failure=True)
    clock.now += REST - 1
    assert not health.may_try(T)
    clock.now += 1
    assert health.may_try(T)
    health.note(*T[:2], is_failure=False)
    assert health.may_try(T)
    fail(health, 2)
    assert health.may_try(T)


def test_a_failing_target_rests_for_all_its_models_and_for_one_organization(health):
    fail(health)
    assert not health.may_try(T._replace(model="other", is_stream=True))
    assert health.may_try(T._replace(organization_id=8))
    assert health.may_try(T._replace(target="https://u"))


def test_a_call_that_tries_it_and_never_ends_is_followed_by_another(health, clock):
    fail(health)
    clock.now += REST
    assert health.may_try(T)
    clock.now += REST
    assert health.may_try(T)


def test_old_failures_weigh_nothing(health, clock):
    fail(health, 3)
    clock.now += 10 * HALF_LIFE
    fail(health, 3)
    assert health.may_try(T)


def test_a_model_much_slower_than_usual_rests_there_and_recovers(health, clock):
    assert health.slow_from(T) is None
    took(health, 1.0, times=20)
    assert health.slow_from(T) == pytest.approx(SLOW_TIMES)
    clock.now += 10 * HALF_LIFE
    took(health, 30.0, times=4)
    assert not health.may_try(T)
    assert " s, usual is 1." in health.why(T)
    assert health.why(T).startswith("100% of the latest answers were slow")
    assert health.may_try(T._replace(model="another"))
    assert health.may_try(T._replace(is_stream=True))
    clock.now += REST
    assert health.may_try(T)
    took(health, 1.0)
    assert health.may_try(T)
    assert (health.why(T), health.resting()) == ("", [])


def test_what_takes_longer_but_not_long_is_not_slow(health, clock):
    took(health, 0.1, times=20)
    clock.now += 10 * HALF_LIFE
    took(health, SLOW_LEAST - 0.1, times=20)
    assert health.may_try(T)


def test_a_few_slow_answers_among_many_are_nothing(health, clock):
    took(health, 1.0, times=20)
    took(health, 60.0, times=9)
    assert health.may_try(T)


def test_a_ceiling_holds_from_the_first_call_and_in_place_of_what_is_usual(clock):
    health = Health(clock, ceiling=10.0)
    took(health, 9.0, times=20)
    assert health.may_try(T)
    took(health, 11.0, times=20)
    assert not health.may_try(T)
    assert "not begun after 10.0 s" in health.why(T)


def test_who_rests_is_told_with_since_when_until_when_and_why(health, clock):
    fail(health)
    clock.now += 5
    fail(health, 1)
    [rest] = health.resting()
    assert (rest.place, rest.since, rest.until) == (Place(*T[:2]), 1000.0, 1005.0 + REST)
    assert rest.why == "100% of the latest calls failed; the last: HTTP 503"


def test_the_version_goes_up_with_every_change_of_who_rests(health, clock):
    seen = [health.version]
    for step in (lambda: fail(health), lambda: health.may_try(T), lambda: health.note(*T[:2], is_failure=False)):
        clock.now += REST
        step()
        seen.append(health.version)
    assert seen == sorted(set(seen))
    health.note(*T[:2], is_failure=False)
    assert health.version == seen[-1]


def test_an_answer_that_does_not_come_is_slow_before_it_ends(health):
    async def work():
        health.ceiling = 0.01
        calls = [health.timed(T) for _ in range(4)]
        while health.may_try(T):
            await asyncio.sleep(0.005)
        for call in calls:
            call.ends()

    asyncio.run(asyncio.wait_for(work(), 30))
    assert not health.may_try(T)


def test_an_error_says_nothing_of_how_long_answers_take(health):
    async def work():
        for _ in range(40):
            health.timed(T).ends(429)

    asyncio.run(work())
    assert health.slow_from(T) is None


def test_targets_clients_make_up_are_forgotten(health):
    for n in range(MOST + 50):
        fail(health, 1, place=Place(7, f"https://t{n}"))
    assert len(health._failing) == MOST


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans())))
def test_a_target_that_never_fails_is_never_passed_over(calls):
    clock = Clock()
    health = Health(clock)
    for later, is_asked in calls:
        clock.now += later
        health.note(*T[:2], is_failure=False)
        took(health, 1.0)
        assert not is_asked or health.may_try(T)


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(0.01, 1.9))))
def test_whoever_answers_within_the_least_time_is_never_slow(calls):
    clock = Clock()
    health = Health(clock)
    for later, seconds in calls:
        clock.now += later
        took(health, seconds)
        assert health.may_try(T)
