"""Recorded traffic of every provider is read to the token and priced to the nano-dollar, by both doors."""

from __future__ import annotations

import functools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from ingest_app.envelopes import helicone_log
from ingest_app.posting import Posting
from llm.exchange import Exchange, PricedExchange, Reading
from llm.parse import parse
from llm.pricing import PriceBook, PriceRow, total
from requests_app import prices
from tests.wire import replay
from tests.wire.exchanges import NOON, of_record, recorded
from tests.wire.keys import EXCEPTIONS, Different, difference

CORPUS = Path(settings.CORPUS_DIR) / "open.jsonl.gz"
pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="recorded traffic is not here (CORPUS_DIR)")

NOT_BILLED_AGAIN = "responses.retrieve"
"""Looking a response up tells its usage once more; the call that made it was billed."""


@functools.cache
def endpoints() -> dict[str, list[dict[str, Any]]]:
    """{"provider endpoint": its records}."""
    found = defaultdict(list)
    for record in recorded(CORPUS) if CORPUS.exists() else ():
        found[f"{record['provider']} {record['endpoint']}"].append(record)
    return dict(found)


@pytest.fixture(scope="module")
def book() -> PriceBook:
    rows = enumerate(prices.bundled("any"), start=1)
    return PriceBook(
        PriceRow(number, row.provider, row.model_key, row.match, row.prices, None, row.starts_at, row.ends_at,
                 row.priority, row.source)
        for number, row in rows
    )


# --- two doors --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory, book: PriceBook) -> dict[str, PricedExchange]:
    """By record, what the line makes of the calls after they passed the gateway."""
    everything = [record for group in endpoints().values() for record in group]
    return replay.replayed(tmp_path_factory.mktemp("gateway"), everything, book)


def by_log(record: Mapping[str, Any]) -> Exchange | None:
    """The same call as its client would log it afterwards; None where a side is no text or the request no object."""
    asked, came = record["request"], record["response"]
    sides = (asked, came)
    if asked["method"] != "POST" or any(side.get("body_encoding") for side in sides) or not came.get("body"):
        return None
    request = _object(asked["body"])
    if request is None:
        return None
    reply = _object(came["body"])
    told = {"textBody": came["body"]} if reply is None else {"json": reply}
    headers = {name: value for name, value in came["headers"].items() if isinstance(value, str)}
    document = {
        "providerRequest": {"url": asked["url"], "json": request, "meta": {}},
        "providerResponse": {**told, "status": came["status"], "headers": headers},
        "timing": {"startTime": {"seconds": int(NOON.timestamp()), "milliseconds": 0},
                   "endTime": {"seconds": int(NOON.timestamp()) + 1, "milliseconds": 0}},
    }
    (logged,) = helicone_log.take(Posting("/custom/v1/log", {}, json.dumps(document).encode(), 1, 1, NOON)).logged
    return logged.exchange


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


# --- cost -------------------------------------------------------------------------------------------------------------


def token_cost(book: PriceBook, exchange: Exchange, reading: Reading) -> int | None:
    """Nano-USD of the tokens alone: without fees, and without a cost the provider declares."""
    charge = book.charge(exchange, replace(reading, provider_cost_nano_usd=None))
    if charge.price_id is None:
        return None
    lines = book.explain(
        charge.price_id, reading.usage, at=exchange.requested_at, service_tier=reading.service_tier
    )
    return total(line for line in lines if not line.is_fee)


def agreed(refs: Mapping[str, Any]) -> float | None:
    """The reference cost in nano-USD where both references say the same."""
    one, other = refs["litellm"], refs["genai_prices"]
    if one is None or other is None or abs(one - other) > 0.005 * max(one, other):
        return None
    return float(other) * 1e9


def cost_difference(book: PriceBook, exchange: Exchange, reading: Reading, record: Mapping[str, Any]) -> Different:
    expected = agreed(record["cost_refs"])
    if expected is None or record["endpoint"] == NOT_BILLED_AGAIN:
        return {}
    cost = token_cost(book, exchange, reading)
    if cost is None and exchange.door == "log" and reading.request_model != reading.response_model:
        return {}  # the model a logged request names is not trusted (litellm writes another one into it)
    is_same = cost is not None and abs(cost - expected) <= 1 + 1e-6 * expected
    return {} if is_same else {"cost": (cost, expected)}


# --- everything -------------------------------------------------------------------------------------------------------


def differences(told: Iterable[tuple[Mapping[str, Any], Exchange, Reading]], book: PriceBook) -> dict[str, Different]:
    """{record: what is read otherwise than its key says}, without the exceptions."""
    found = {}
    for record, exchange, reading in told:
        different = difference(exchange, reading, record["truth"]) | cost_difference(book, exchange, reading, record)
        if unexplained := {key: pair for key, pair in different.items() if key not in EXCEPTIONS.get(record["id"], {})}:
            found[record["id"]] = unexplained
    return found


def table(found: Mapping[str, Different]) -> str:
    """Mismatches for people: how often each fact differs, then each."""
    facts = Counter(fact for different in found.values() for fact in different)
    rows = [f"{identifier}: " + "; ".join(f"{fact}: we {pair[0]!r}, key {pair[1]!r}" for fact, pair in each.items())
            for identifier, each in found.items()]
    return "\n".join(["", *(f"{number:4} × {fact}" for fact, number in facts.most_common()), *rows])


@pytest.mark.parametrize("endpoint", sorted(endpoints()) or ["none"])
def test_recorded_calls_through_the_gateway_are_read_and_priced_as_their_key_says(endpoint, passed, book):
    rows = [(record, passed[record["id"]]) for record in endpoints()[endpoint]]
    found = differences([(record, row.exchange, row.reading) for record, row in rows], book)
    assert not found, table(found)


@pytest.mark.parametrize("endpoint", sorted(endpoints()) or ["none"])
def test_recorded_calls_as_their_client_logs_them_are_read_and_priced_as_their_key_says(endpoint, book):
    logged = [(record, by_log(record)) for record in endpoints()[endpoint]]
    found = differences([(record, each, parse(each)) for record, each in logged if each is not None], book)
    assert not found, table(found)


def test_every_recorded_call_went_where_its_client_sent_it(passed):
    records = {record["id"]: record for group in endpoints().values() for record in group}
    assert passed.keys() == records.keys()
    sent = {name: records[name]["request"]["url"].partition("#")[0] for name in passed}
    assert {name: row.exchange.url for name, row in passed.items() if row.exchange.url != sent[name]} == {}
    assert {row.exchange.response.state for row in passed.values()} == {"kept"}
    assert {name for name, row in passed.items() if row.exchange.problems} == set()


def test_recorded_calls_never_trip_the_reader():
    problems = {record["id"]: parse(of_record(record)).problems for group in endpoints().values() for record in group}
    assert len(problems) > 1900
    assert {key for key, found in problems.items() if any(problem.code == "unreadable" for problem in found)} == set()


def test_every_exception_is_still_needed(book):
    listed = {record["id"]: record for group in endpoints().values() for record in group if record["id"] in EXCEPTIONS}
    for identifier, reasons in EXCEPTIONS.items():
        record = listed[identifier]
        exchange = of_record(record)
        reading = parse(exchange)
        different = difference(exchange, reading, record["truth"]) | cost_difference(book, exchange, reading, record)
        assert reasons.keys() <= different.keys()
