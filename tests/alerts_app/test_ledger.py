"""What Redis says of a budget against what Postgres says: settled once, rebuilt, corrected, let go."""

from __future__ import annotations

from dataclasses import replace

import pytest
import redis

from alerts_app import ledger
from alerts_app.budgets import KNOWN, NANO
from alerts_app.ledger import Ledger, reconcile
from alerts_app.models import BudgetEvent, BudgetState
from ingest_app import line, records
from llm.exchange import Body
from tests.alerts_app.spending import COST, a_budget
from tests.ingest_app.exchanges import opening

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_line_puts_the_cost_in_the_place_of_the_hold_once(spending, cast):
    _, budget = a_budget(cast.acme, 100)
    call = spending.hold(budget, spending.call(cast.acme.pk))
    assert spending.numbers(budget) == (0, 20)
    spending.store(call)
    assert spending.numbers(budget) == (15, 0)
    spending.line._settler.settle([])
    spending.store(replace(call))
    assert spending.numbers(budget) == (15, 0)


@pytest.mark.parametrize("status", [500, -3, -5])
def test_a_call_that_came_to_nothing_lets_go_of_its_hold(spending, cast, status):
    _, budget = a_budget(cast.acme, 100)
    call = spending.hold(budget, spending.call(cast.acme.pk))
    spending.store(replace(call, status=status, response=opening(call).response))
    assert spending.numbers(budget) == (0, 0)


def test_a_hold_of_a_process_that_was_killed_is_let_go_by_its_interrupted_row(spending, cast, tmp_path):
    _, budget = a_budget(cast.acme, 100)
    call = spending.hold(budget, spending.call(cast.acme.pk))
    spending.writer.put(records.begin(opening(call))).result(5)
    spending.writer.close()
    for _ in range(100):
        spending.line._due["interrupted"] = 0.0
        spending.run_dry()
    assert spending.numbers(budget) == (0, 0)


@pytest.mark.parametrize(
    ("segment", "value", "other"),
    [
        ({}, "", ""),
        ({"by": "user"}, "ann", "bob"),
        ({"by": "session"}, "s-ann", "s-bob"),
        ({"by": "property", "property_name": "plan"}, "pro", "free"),
        ({"by": "model"}, "gpt-4o-mini", ""),
        ({"by": "key"}, "5", "6"),
    ],
)
@pytest.mark.parametrize("period", [{"span": "month"}, {"span": "day", "time_zone": "Asia/Tokyo"},
                                    {"span": "week"}, {"span": "rolling", "hours": 6}])  # fmt: skip
def test_an_emptied_redis_is_told_again_what_was_spent(spending, cast, segment, value, other, period):
    row, budget = a_budget(cast.acme, 100, **segment, **period)
    told = {"end_user_id": "ann", "session_id": "s-ann", "properties": {"plan": "pro"}}
    others = {"end_user_id": "bob", "session_id": "s-bob", "properties": {"plan": "free"}}
    spending.store(
        *(replace(spending.call(cast.acme.pk, **told), api_key_id=5) for _ in range(2)),
        replace(spending.call(cast.umbrella.pk, **told), api_key_id=5),
        replace(spending.call(cast.acme.pk, **others), api_key_id=6),
    )
    spending.redis.flushdb()
    assert reconcile(row, spending.ledger)
    expected = 2 if other else 3
    assert spending.numbers(budget, value) == (15 * expected, 0)
    if other:
        assert spending.numbers(budget, other) == (15, 0)
    assert spending.redis.sismember(budget.values_key, KNOWN)
    state = BudgetState.objects.get(budget=row, value=value)
    assert (state.spent_nano_usd, state.drift_nano_usd) == (expected * COST, 0)
    assert reconcile(row, spending.ledger)
    assert spending.numbers(budget, value) == (15 * expected, 0)
    assert BudgetState.objects.get(budget=row, value=value).drift_nano_usd == 0


def test_what_was_posted_afterwards_counts_by_the_next_look(spending, cast):
    row, budget = a_budget(cast.acme, 100)
    reconcile(row, spending.ledger)
    spending.store(replace(spending.call(cast.acme.pk), door="log"))
    assert spending.numbers(budget) == (0, 0)
    for drift in (-COST, 0):
        reconcile(row, spending.ledger)
        assert spending.numbers(budget) == (15, 0)
        assert BudgetState.objects.get(budget=row).drift_nano_usd == drift


def test_what_redis_has_too_much_goes_when_it_was_too_much_twice(spending, cast):
    """Once it may be a call that is settled and not stored yet."""
    row, budget = a_budget(cast.acme, 100)
    reconcile(row, spending.ledger)
    spending.store(spending.hold(budget, spending.call(cast.acme.pk)))
    under_way = spending.hold(budget, spending.call(cast.acme.pk))
    spending.line._settler.settle([replace(priced) for priced in _priced(spending, under_way)])
    assert spending.numbers(budget) == (30, 0)
    reconcile(row, spending.ledger)
    assert spending.numbers(budget) == (30, 0)
    assert BudgetState.objects.get(budget=row).drift_nano_usd == COST
    spending.store(under_way)
    reconcile(row, spending.ledger)
    assert (spending.numbers(budget), BudgetState.objects.get(budget=row).drift_nano_usd) == ((30, 0), 0)
    spending.redis.hincrby(budget.spent_key(""), _slot(spending, budget), 7 * NANO)
    for expected in (37, 30, 30):
        reconcile(row, spending.ledger)
        assert spending.numbers(budget) == (expected, 0)


def _slot(spending, budget):
    (slot,) = [name for name in spending.redis.hkeys(budget.spent_key("")) if name.isdigit()]
    return slot


def _priced(spending, exchange):
    bench = spending.line._at_work()
    return line.price_all(line.parsed(line.Work([exchange])), bench)


def test_a_hold_nobody_settled_is_let_go_when_its_call_is_stored(spending, cast, monkeypatch):
    """Redis was away when the line wanted to settle it."""
    row, budget = a_budget(cast.acme, 100)
    call = spending.hold(budget, spending.call(cast.acme.pk))
    _aged(spending, budget, 60)
    reconcile(row, spending.ledger)
    assert spending.numbers(budget) == (0, 20)
    spending.store(replace(call, holds=()))
    reconcile(row, spending.ledger)
    assert spending.numbers(budget) == (15, 0)


def test_a_hold_older_than_any_call_is_let_go(spending, cast, settings):
    row, budget = a_budget(cast.acme, 100)
    for _ in range(3):
        spending.hold(budget, spending.call(cast.acme.pk))
    _aged(spending, budget, settings.BUDGET_HOLD_SECONDS + 5)
    spending.hold(budget, spending.call(cast.acme.pk))
    reconcile(row, spending.ledger)
    assert spending.numbers(budget) == (0, 20)


def _aged(spending, budget, seconds):
    for name, told in spending.redis.hgetall(budget.holds_key).items():
        estimate, slot, moment, key = told.decode().split(" ", 3)
        spending.redis.hset(budget.holds_key, name, f"{estimate} {slot} {int(moment) - seconds} {key}")


def test_a_threshold_is_told_once_a_period(spending, cast, caplog):
    row, _ = a_budget(cast.acme, 20, warn_percents=[50, 75, 90])
    spending.store(spending.call(cast.acme.pk))
    for _ in range(2):
        reconcile(row, spending.ledger)
    assert sorted(BudgetEvent.objects.values_list("percent", flat=True)) == [50, 75]
    spending.store(spending.call(cast.acme.pk))
    reconcile(row, spending.ledger)
    assert sorted(BudgetEvent.objects.values_list("percent", flat=True)) == [50, 75, 90, 100]
    assert [record.message.split()[-1] for record in caplog.records if "budget_warned" in record.message] == [
        "percent=50", "percent=75", "percent=90", "percent=100",
    ]  # fmt: skip


def test_a_segment_nothing_counts_for_any_more_leaves_nothing(spending, cast):
    row, budget = a_budget(cast.acme, 100, by="user")
    spending.hold(budget, spending.call(cast.acme.pk), "ann", estimate=0)
    _aged(spending, budget, 10**6)
    reconcile(row, spending.ledger)
    assert spending.redis.keys(f"{budget.spent_key('x')[:-24]}*") == [budget.values_key.encode()]
    assert spending.redis.smembers(budget.values_key) == {KNOWN.encode()}
    spending.ledger.forget(budget)
    assert not spending.redis.exists(budget.values_key)


def test_while_redis_is_away_a_budget_says_so(spending, cast, monkeypatch):
    row, _ = a_budget(cast.acme, 100)

    def away(*_):
        raise redis.ConnectionError("away")

    monkeypatch.setattr(Ledger, "look", away)
    assert not reconcile(row, spending.ledger)
    row.refresh_from_db()
    assert (row.trouble, row.looked_at) == ("Redis did not answer.", None)


@pytest.mark.parametrize("counted", [{}, {"by": "user"}])
def test_unknown_costs_are_told_beside_what_is_spent(spending, cast, counted):
    """But for calls that failed: those cost nothing."""
    row, _ = a_budget(cast.acme, 100, **counted)
    call = spending.call(cast.acme.pk, end_user_id="ann", text="nobody knows this model")
    unheard = replace(call, request=Body(call.request.data.replace(b"gpt", b"xyz")),
                      response=Body(call.response.data.replace(b"gpt", b"xyz")))  # fmt: skip
    failed = replace(spending.call(cast.acme.pk, end_user_id="ann"), status=500)
    spending.store(spending.call(cast.acme.pk, end_user_id="ann"), unheard, failed)
    reconcile(row, spending.ledger)
    state = BudgetState.objects.get(budget=row)
    assert (state.requests, state.unpriced, state.spent_nano_usd) == (3, 1, COST)


def test_other_organizations_are_not_looked_at(spending, cast):
    mine, _ = a_budget(cast.acme, 100)
    theirs, _ = a_budget(cast.umbrella, 100)
    spending.store(spending.call(cast.umbrella.pk))
    ledger.reconcile_all(spending.ledger)
    assert not BudgetState.objects.filter(budget=mine, spent_nano_usd__gt=0).exists()
    assert BudgetState.objects.get(budget=theirs).spent_nano_usd == COST
