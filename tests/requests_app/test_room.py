"""What makes rows small keeps them whole: joined bodies, short spellings, the order that fills pages."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from lib import clock
from llm.exchange import Attribution, Body, Charge, Exchange, PricedExchange, Reading
from requests_app import bodies, body_frame, page_filling, queries, spellings, store, store_rewriting
from requests_app.columns import body_row_of
from requests_app.rows import BodyRow, RequestRow
from tests.requests_app.factories import insert, make_request, make_row

ACME = 1
part = st.binary(max_size=300)


@given(st.tuples(part, part, part))
def test_parts_come_apart_as_they_were_joined(parts):
    joined = body_frame.join(parts)
    assert (joined is None) == (parts == (b"", b"", b""))
    assert joined is None or body_frame.split(joined) == parts


def test_too_much_is_not_joined():
    assert body_frame.join((b"x" * body_frame.LONGEST, b"", b"")) is not None
    assert body_frame.join((b"x" * body_frame.LONGEST, b"", b"x")) is None


def call(request: bytes, response: bytes, **headers: str) -> PricedExchange:
    at = clock.now()
    exchange = Exchange(
        id=clock.uuid7(at), organization_id=ACME, requested_at=at, door="gateway", provider="openai", status=200,
        request=Body(request, "application/json", "", len(request)),
        response=Body(response, "text/plain", "", len(response)), request_headers=headers, attribution=Attribution(),
    )  # fmt: skip
    return PricedExchange(exchange, Reading(), Charge(None, "no_usage"))


LENGTHS = [0, 1, 5_000, body_frame.LONGEST + 1]


@pytest.mark.parametrize("asked", LENGTHS)
@pytest.mark.parametrize("answered", LENGTHS)
def test_bodies_of_any_length_are_read_as_they_came(asked, answered):
    stored = body_row_of(call(b"q" * asked, b"a" * answered, agent="curl"))
    found = bodies.read(stored)
    assert (found.request or b"", found.response or b"") == (b"q" * asked, b"a" * answered)
    assert (found.request_headers, found.response_type) == ({"agent": "curl"}, "text/plain")
    assert (stored.together is None) == (asked + answered > body_frame.LONGEST)


@pytest.mark.django_db
@pytest.mark.parametrize(("before", "after"), [(b"{}", b"[]"), (b"q" * 300_000, b"[]"), (b"{}", b"q" * 300_000)])
def test_a_request_is_replaced_and_its_reply_stays(before, after):
    one = call(before, b"said", agent="curl")
    with connection.cursor():
        raw = connection.connection
    row = make_request(ACME, one.exchange.requested_at, id=one.exchange.id)
    store.insert_bodies(raw, [body_row_of(one)])
    key = (ACME, row.requested_at, row.id)
    assert store_rewriting.request_body(raw, key) == before
    store_rewriting.replace_request_body(raw, key, after)
    found = bodies.read(queries.body(row))
    assert (found.request, found.response, found.request_headers) == (after, b"said", {"agent": "curl"})
    assert store_rewriting.request_body(raw, key) == after


@pytest.mark.django_db
@pytest.mark.parametrize("place", ["together", "response"])
def test_a_row_that_cannot_be_unpacked_is_left_as_it_is(place):
    row = make_request(ACME)
    key = (ACME, row.requested_at, row.id)
    frames = {"request": None, "response": None, "response_raw": None, "headers": None, "together": None}
    junk = frames | {place: b"\x00no frame"}
    store.insert_bodies(connection.connection, [BodyRow(*key, 0, 0, **junk, request_type="", response_type="")])
    store_rewriting.replace_request_body(connection.connection, key, b"[]")
    stored = queries.body(row)
    assert stored is not None
    assert {name: getattr(stored, name) for name in frames} == junk


def test_no_two_words_of_a_column_share_a_spelling():
    for name, spelt in spellings.SHORT.items():
        assert len(set(spelt.values())) == len(spelt) == len(spellings.LONG[name])
        assert not set(spelt) & set(spelt.values())
        assert name in {one.name for one in fields(RequestRow)}


@pytest.mark.django_db
@pytest.mark.parametrize("name", spellings.SHORT)
def test_every_spelling_is_read_as_what_was_meant(name):
    for long in [*spellings.SHORT[name], "of-its-own"]:
        row = make_row(ACME, **{name: long})
        insert([row])
        assert queries.one(ACME, str(row.id)) == row
        with connection.cursor() as cursor:
            column = spellings.in_sql("r." + name, name)
            cursor.execute(f"SELECT {column}, r.{name} FROM llm_request r WHERE r.id = %s", [row.id])
            assert cursor.fetchone() == (long, spellings.SHORT[name].get(long, long))


def test_a_url_that_looks_like_a_spelling_is_none():
    mark = spellings.SHORT["target_url"]["https://api.openai.com/v1/responses"]
    one = call(b"{}", b"")
    assert store.row_of(replace(one, exchange=replace(one.exchange, url=mark))).target_url == mark[1:]


sizes = st.lists(st.integers(1, 9_000), max_size=300)


@given(sizes)
def test_an_order_loses_nothing_and_takes_no_more_pages(sizes):
    ordered = page_filling.ordered(sizes, size=lambda size: size)
    assert sorted(ordered) == sorted(sizes)
    assert pages(ordered) <= pages(sizes) * 1.25 + 1


def test_rows_of_different_sizes_fill_nearly_all_of_their_pages():
    sizes = [300 + (number * 7919) % 3_000 for number in range(200)]
    least = sum(sizes) / page_filling.ROOM
    assert pages(page_filling.ordered(sizes, size=lambda size: size)) < least * 1.04 < pages(sizes)


def pages(sizes: list[int]) -> int:
    """As Postgres appends: to the last page while it has room."""
    count, room = 0, 0
    for size in sizes:
        taken = (size + 7) // 8 * 8 + page_filling.POINTER
        if taken > page_filling.ROOM:
            continue
        if taken > room:
            count, room = count + 1, page_filling.ROOM
        room -= taken
    return count
