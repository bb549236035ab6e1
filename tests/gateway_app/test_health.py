"""Which targets are passed over, by a clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_app.health import HALF_LIFE, MOST_TARGETS, REST, Health


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


def fail(health, times=4):
    for _ in range(times):
        health.note("t", is_failure=True)


def test_a_target_nobody_knows_or_that_failed_now_and_then_may_be_tried(health):
    assert health.may_try("t")
    fail(health, 3)
    assert health.may_try("t")
    for _ in range(9):
        health.note("t", is_failure=False)
    fail(health, 4)
    assert health.may_try("t")


def test_a_failing_target_rests_then_one_call_tries_it(health, clock):
    fail(health)
    assert not health.may_try("t")
    clock.now += REST
    assert [health.may_try("t"), health.may_try("t")] == [True, False]
    health.note("t", is_failure=True)
    clock.now += REST - 1
    assert not health.may_try("t")
    clock.now += 1
    assert health.may_try("t")
    health.note("t", is_failure=False)
    assert health.may_try("t")
    fail(health, 2)
    assert health.may_try("t")


def test_a_call_that_tries_it_and_never_ends_is_followed_by_another(health, clock):
    fail(health)
    clock.now += REST
    assert health.may_try("t")
    clock.now += REST
    assert health.may_try("t")


def test_old_failures_weigh_nothing(health, clock):
    fail(health, 3)
    clock.now += 10 * HALF_LIFE
    fail(health, 3)
    assert health.may_try("t")


def test_targets_clients_make_up_are_forgotten(health):
    for n in range(MOST_TARGETS + 50):
        health.note(f"t{n}", is_failure=True)
    assert len(health._states) == MOST_TARGETS


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans())))
def test_a_target_that_never_fails_is_never_passed_over(calls):
    clock = Clock()
    health = Health(clock)
    for later, is_asked in calls:
        clock.now += later
        health.note("t", is_failure=False)
        assert not is_asked or health.may_try("t")
