"""The price table is seeded once, replaced without forgetting, and read into the book that charges by it."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest
from django.db import connection

from llm.exchange import Reading, Usage
from requests_app import prices, tasks
from requests_app.models import ModelPrice
from tests.wire.exchanges import NOON, exchange

pytestmark = pytest.mark.django_db
GPT = Reading(response_model="gpt-4o", usage=Usage(input_tokens=1000, output_tokens=100))


@pytest.fixture
def small(monkeypatch):
    """A bundle of a few rows in place of the package's thousands."""
    bundle = [row for row in prices.bundled("1") if (row.provider, row.model_key) in {
        ("openai", "gpt-4o"), ("openai", "o3"), ("deepseek", "deepseek-chat"), ("anthropic", "claude-sonnet-4-5")}]
    monkeypatch.setattr(prices, "bundled", lambda version: iter([_copy(row, version) for row in bundle]))
    return bundle


def _copy(row: ModelPrice, version: str) -> ModelPrice:
    said = {name: getattr(row, name) for name in ("provider", "model_key", "match", "prices", "starts_at", "ends_at",
                                                  "priority")}
    return ModelPrice(**said, source=f"genai-prices {version}")


def test_seeding_twice_changes_nothing_the_second_time(small):
    first, second = prices.seed(), prices.seed()
    assert (first.added, first.replaced) == (len(small), 0)
    assert (second.added, second.replaced, second.kept) == (0, 0, len(small))
    assert ModelPrice.objects.count() == len(small)
    assert prices.is_seeded()


def test_a_changed_price_gets_a_new_row_and_the_old_one_stays_for_what_it_charged(small, monkeypatch):
    prices.seed()
    old = ModelPrice.objects.get(model_key="gpt-4o")
    changed = [_copy(row, "2") for row in small]
    for row in changed:
        if row.model_key == "gpt-4o":
            row.prices = {**row.prices, "output_mtok": "99"}
    monkeypatch.setattr(prices, "bundled", lambda version: iter(changed))
    monkeypatch.setattr(prices, "installed_version", lambda: "2")
    done = prices.seed()
    assert (done.added, done.replaced) == (1, 1)
    old.refresh_from_db()
    assert not old.is_current
    assert prices.load_row(connection, old.pk) is not None
    charge = prices.load_book(connection).charge(exchange(), GPT)
    assert charge.price_id not in (None, old.pk)
    assert charge.nano_usd == 1000 * 2500 + 100 * 99_000
    assert set(ModelPrice.objects.filter(is_current=True).values_list("source", flat=True)) == {"genai-prices 2"}


def test_operators_rows_outlive_every_seeding_and_win(small):
    own = ModelPrice.objects.create(provider="openai", model_key="deal", match={"equals": "gpt-4o"},
                                    prices={"input_mtok": "1", "output_mtok": "1"}, source="operator")
    prices.seed()
    assert prices.load_book(connection).charge(exchange(), GPT).price_id == own.pk


def test_a_price_by_the_hour_is_read_from_the_bundle(small):
    prices.seed()
    book = prices.load_book(connection)
    usage = Usage(input_tokens=1_000_000, output_tokens=0)
    reading = Reading(response_model="deepseek-chat", usage=usage)

    def cost(hour):
        moment = datetime(2026, 11, 21, hour, tzinfo=UTC)
        return book.charge(exchange(provider="deepseek", requested_at=moment), reading).nano_usd

    assert [cost(12), cost(20)] == [270_000_000, 135_000_000]


def test_the_stamp_tells_when_to_read_the_book_again(small):
    before = prices.stamp(connection)
    prices.seed()
    after = prices.stamp(connection)
    assert (before.current, after.current) == (0, len(small))
    prices.seed()
    assert prices.stamp(connection) == after


def test_the_task_seeds_only_what_is_not_there(small):
    tasks.seed_prices()
    seeded = prices.stamp(connection)
    tasks.seed_prices()
    assert seeded == prices.stamp(connection)
    assert seeded.current == len(small)


def test_the_whole_bundle_can_be_used():
    prices.seed()
    book = prices.load_book(connection)
    assert len(book) > 2000
    for row in ModelPrice.objects.filter(is_current=True).values_list("pk", flat=True):
        book.explain(row, Usage(input_tokens=1, output_tokens=1), at=NOON)
    assert book.unreadable == {}


@pytest.mark.django_db(transaction=True)
def test_the_book_is_the_same_through_psycopg_itself(small):
    prices.seed()
    through_django = prices.load_book(connection)
    known = connection.get_connection_params()
    given = {key: known[key] for key in ("dbname", "user", "host", "port", "password") if key in known}
    with psycopg.connect(**given) as raw:
        through_psycopg = prices.load_book(raw)
    assert through_django.charge(exchange(), GPT) == through_psycopg.charge(exchange(), GPT)
    ModelPrice.objects.all().delete()
