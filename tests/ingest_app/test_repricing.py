"""Pricing stored requests again: sums agree with rows at every step, stops lose nothing, undo brings all back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection as django_connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_app import repricing
from ingest_app.models import RepricedRow, Repricing
from ingest_app.repricing import findings, recharged
from lib.clock import now
from lib.postgres import conninfo
from llm.pricing import PriceBook
from metrics_app import queries_audit, rollup
from metrics_app.rebuild import rebuild
from requests_app import prices, store, store_costs
from requests_app.models import LLMRequest, ModelPrice
from requests_app.rows import Change, RequestRow
from sessions_app import rollup as sessions
from sessions_app.models import Session
from tests.metrics_app.counting import ORGANIZATION, TABLES, expected_tables, fold_all, folded_tables
from tests.requests_app import factories

pytestmark = pytest.mark.django_db(transaction=True)

MIDNIGHT = now().replace(hour=0, minute=0, second=0, microsecond=0)
SINCE, UNTIL = MIDNIGHT - timedelta(days=2), MIDNIGHT
MODELS = ("gpt-4o", "new-model", "other-model", None)
EMPTY = PriceBook(())


@pytest.fixture
def db(transactional_db: None) -> Iterator[Any]:
    with psycopg.connect(conninfo(django_connection.settings_dict, application="test"), autocommit=True) as db:
        store.prepare(db)
        yield db
        clear(db)


def clear(db: Any) -> None:
    db.execute(f"TRUNCATE {TABLES}, repricing, repriced_row, model_price")


def price(model: str, usd: str = "2", **values: Any) -> ModelPrice:
    fields = {"provider": "openai", "model_key": model, "match": {"equals": model}, "source": "operator",
              "prices": {"input_mtok": usd, "output_mtok": usd}, "organization_id": ORGANIZATION}
    return ModelPrice.objects.create(**{**fields, **values})


def random_row(rng: random.Random, **values: Any) -> RequestRow:
    at = SINCE + (UNTIL - SINCE) * rng.random()
    stated = rng.random() < 0.2
    made = factories.make_row(
        ORGANIZATION, at, model=(model := rng.choice(MODELS)), request_model=model, response_model=model,
        kind=rng.choice(("llm", "llm", "llm", "tool")), status=rng.choice((200, 200, 429)),
        cached=rng.random() < 0.1, input_tokens=rng.choice((None, 1000)), output_tokens=rng.choice((None, 10)),
        session_id=rng.choice((None, "s", "t")), end_user_id=rng.choice((None, "u")),
        properties=rng.choice(({}, {"env": "prod"})), cost_nano_usd=77 if stated else None,
        cost_reason=rng.choice(("client", "provider")) if stated else "no_price",
    )  # fmt: skip
    return recharged(replace(made, **values), EMPTY) if not stated else replace(made, **values)


def sow(db: Any, rows: list[RequestRow]) -> None:
    """Stored and counted as the line does."""
    factories.insert(rows)
    changes = [Change(None, row) for row in rows]
    with db.transaction():
        rollup.write(db, changes)
        sessions.apply(db, changes)


def ground(db: Any) -> dict[Any, RequestRow]:
    extent = store_costs.Extent(ORGANIZATION, SINCE - timedelta(days=9), UNTIL + timedelta(days=9))
    calls = store_costs.rows(db, extent, after=store_costs.START, end=None)
    return {row.id: row for row in calls}


def sums_agree(db: Any) -> None:
    until = MIDNIGHT + timedelta(days=1)
    assert queries_audit.differences(db, ORGANIZATION, since=SINCE, until=until) == []
    for session in Session.objects.all():
        of = {"organization_id": session.organization_id, "session_id": session.session_id}
        rows = LLMRequest.objects.filter(**of).exclude(kind="tool")
        costs = [row.cost_nano_usd for row in rows]
        assert session.requests == len(costs)
        assert session.cost_nano_usd == sum(cost or 0 for cost in costs)
        assert session.priced == sum(cost is not None for cost in costs)


def run(state: str = "applying", **values: Any) -> Repricing:
    made = Repricing.objects.create(
        organization_id=ORGANIZATION, since=SINCE, until=UNTIL, state=state, **values
    )
    Repricing.objects.filter(pk=made.pk).update(created_at=now() - timedelta(minutes=1))
    return made


def go(db: Any, one: Repricing, *, slices: int = 1000) -> Repricing:
    book = prices.load_book(db)
    for _ in range(slices):
        one.refresh_from_db()
        if one.state not in ("previewing", "applying", "undoing"):
            break
        repricing.step(db, one.pk, book)
    one.refresh_from_db()
    return one


def costs(rows: dict[Any, RequestRow]) -> dict[Any, Any]:
    return {key: (row.cost_nano_usd, row.cost_reason, row.price_id) for key, row in rows.items()}


def sown(db: Any, count: int = 40, seed: int = 1) -> list[RequestRow]:
    rng = random.Random(seed)
    rows = [random_row(rng) for _ in range(count)]
    sow(db, rows)
    return rows


def test_a_look_tells_what_applying_then_does_and_writes_no_row(db, monkeypatch):
    monkeypatch.setattr(repricing, "WINDOW", 7)
    sown(db)
    price("new-model")
    before = ground(db)
    one = go(db, run("previewing"))
    assert one.state == "previewed" and one.total == LLMRequest.objects.count()
    assert costs(ground(db)) == costs(before)
    told = findings(one.found)
    Repricing.objects.filter(pk=one.pk).update(state="applying")
    one = go(db, one)
    after = ground(db)
    assert one.state == "applied" and one.changed == sum(row["changed"] for row in told) > 0
    assert sum(row["new_nano_usd"] for row in told) == sum(row.cost_nano_usd or 0 for row in after.values())
    assert sum(row["old_nano_usd"] for row in told) == sum(row.cost_nano_usd or 0 for row in before.values())
    assert sum(row["newly_priced"] for row in told) == sum(
        before[key].cost_nano_usd is None and row.cost_nano_usd is not None for key, row in after.items()
    )
    sums_agree(db)


def test_what_client_or_provider_stated_stays(db):
    rows = sown(db)
    for model in MODELS[:3]:
        price(model)
    go(db, run())
    stated = [row for row in rows if row.cost_reason in ("client", "provider") and row.kind != "tool"]
    after = ground(db)
    assert stated and all(after[row.id] == row for row in stated)


def test_only_the_models_providers_and_organisation_chosen_are_touched(db):
    sown(db)
    theirs = random_row(random.Random(3), organization_id=ORGANIZATION + 1, model="new-model")
    sow(db, [theirs])
    for model in MODELS[:3]:
        price(model)
        price(model, organization_id=None)
    before = ground(db)
    go(db, run(provider_names=["nobody"]))
    assert costs(ground(db)) == costs(before)
    go(db, run(model_names=["new-model"]))
    changed = {row.model for key, row in ground(db).items() if row != before[key]}
    assert changed == {"new-model"}
    assert LLMRequest.objects.get(id=theirs.id).cost_nano_usd is None
    sums_agree(db)


def test_only_what_has_no_cost_is_priced_where_asked(db):
    rng = random.Random(5)
    priced = [replace(random_row(rng), kind="llm", status=200, cached=False, model="gpt-4o", request_model="gpt-4o",
                      response_model="gpt-4o", input_tokens=5, output_tokens=5, cost_nano_usd=123,
                      cost_reason="price") for _ in range(3)]
    sow(db, priced)
    sown(db)
    price("gpt-4o")
    one = go(db, run(only_unpriced=True))
    after = ground(db)
    assert one.changed > 0 and all(after[row.id].cost_nano_usd == 123 for row in priced)


def test_a_run_is_not_applied_before_every_line_has_read_its_prices(db):
    sown(db)
    price("new-model")
    one = run()
    Repricing.objects.filter(pk=one.pk).update(created_at=now())
    repricing.work(db, seconds=5)
    one.refresh_from_db()
    assert (one.state, one.changed) == ("applying", 0)
    Repricing.objects.filter(pk=one.pk).update(created_at=now() - timedelta(seconds=11))
    assert repricing.work(db, seconds=5) is False
    one.refresh_from_db()
    assert one.state == "applied" and one.changed > 0 and one.undo_until > now() + timedelta(days=29)


def test_an_undo_leaves_alone_what_another_run_has_priced_since(db):
    sown(db)
    price("new-model", "2")
    first = go(db, run())
    ModelPrice.objects.update(is_current=False)
    price("new-model", "9")
    second = go(db, run())
    before = costs(ground(db))
    Repricing.objects.filter(pk=first.pk).update(state="undoing")
    first = go(db, first)
    assert (first.undone, first.left_alone) == (0, first.changed) and first.changed > 0
    assert costs(ground(db)) == before
    Repricing.objects.filter(pk=second.pk).update(state="undoing")
    assert go(db, second).undone == second.changed
    sums_agree(db)


def test_what_can_no_longer_be_undone_is_forgotten(db):
    sown(db)
    price("new-model")
    one = go(db, run())
    assert RepricedRow.objects.count() == one.changed
    Repricing.objects.filter(pk=one.pk).update(undo_until=now() - timedelta(days=1))
    repricing.work(db, seconds=1)
    assert RepricedRow.objects.count() == 0


def test_a_run_that_cannot_go_on_stops_and_says_why(db, monkeypatch):
    sown(db)

    def broken(*_: Any) -> None:
        raise ValueError("a row nobody can read")

    monkeypatch.setattr(repricing, "charge_again", broken)
    one = go(db, run())
    assert (one.state, one.resume_as) == ("paused", "applying") and "a row nobody can read" in one.error


def test_two_workers_at_once_do_nothing_twice(db, monkeypatch):
    monkeypatch.setattr(repricing, "WINDOW", 5)
    sown(db)
    price("new-model")
    one, book = run(), prices.load_book(db)
    described = conninfo(django_connection.settings_dict, application="test")
    with psycopg.connect(described, autocommit=True) as other, db.transaction():
        assert repricing.runs.hold(db, one.pk) is not None
        repricing.step(other, one.pk, book)  # held by the first: leaves at once
        assert repricing.runs.hold(db, one.pk).seen == 0
    assert go(db, one).state == "applied"
    sums_agree(db)


def erase(db: Any, row: RequestRow) -> None:
    key = (row.organization_id, row.requested_at, row.id)
    with db.transaction():
        if before := store.lock_row(db, key):
            store.delete_row(db, key)
            rollup.write(db, [Change(before, None)])
            sessions.apply(db, [Change(before, None)])


ACTIONS = ("slice", "slice", "slice", "late", "erase", "fold", "price", "undoing", "cancelled", "applying")


def act(db: Any, action: str, one: Repricing, *, rng: random.Random, original: dict[Any, RequestRow]) -> Any:
    """Answers the id of an original row that is gone."""
    book = prices.load_book(db)
    if action == "slice":
        repricing.step(db, one.pk, book)
    elif action == "late":
        sow(db, [recharged(random_row(rng), book)])
    elif action == "erase":
        gone = rng.choice(sorted(original)) if original else None
        if gone:
            erase(db, original[gone])
        return gone
    elif action == "fold":
        fold_all(db)
    elif action == "price":
        price(rng.choice(MODELS[:3]), "3")
    else:
        Repricing.objects.filter(pk=one.pk).exclude(state__in=("undone", "undoing")).update(state=action)
    return None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6), actions=st.lists(st.sampled_from(ACTIONS), max_size=14), is_applied_whole=st.booleans()
)
def test_sums_agree_with_rows_whatever_happens_between_two_slices(db, monkeypatch, seed, actions, is_applied_whole):
    clear(db)
    monkeypatch.setattr(repricing, "WINDOW", 4)
    rng = random.Random(seed)
    sow(db, [random_row(rng) for _ in range(15)])
    original = ground(db)
    price("new-model")
    one, gone = run(), set()
    for action in actions:
        gone.add(act(db, action, one, rng=rng, original=original))
        sums_agree(db)
    finish(db, one, is_applied_whole=is_applied_whole)
    after = ground(db)
    assert {key: after.get(key) for key in original if key not in gone} == {
        key: row for key, row in original.items() if key not in gone
    }
    sums_agree(db)
    fold_all(db)
    incremental = folded_tables(db)
    assert incremental == expected_tables(everything(db))
    list(rebuild(db, ORGANIZATION, SINCE.date(), last=UNTIL.date()))
    assert folded_tables(db) == incremental


def finish(db: Any, one: Repricing, *, is_applied_whole: bool) -> None:
    """By another run over everything, where wished; then the last is undone first."""
    done = [one]
    if is_applied_whole:
        done.insert(0, go(db, run()))
        book = prices.load_book(db)
        assert all(recharged(row, book) is row for row in ground(db).values())
    for each in done:
        Repricing.objects.filter(pk=each.pk).exclude(state="undone").update(state="undoing")
        assert go(db, each).state == "undone"


def everything(db: Any) -> list[RequestRow]:
    names = ", ".join(store.COLUMNS)
    found = db.execute(f"SELECT {names} FROM llm_request").fetchall()
    return [store.row_from(dict(zip(store.COLUMNS, values, strict=True))) for values in found]
