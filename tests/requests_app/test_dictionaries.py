"""Bodies packed with dictionaries can be read whatever is trained, retired and swept meanwhile."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import orjson
import psycopg
import pytest
import zstandard
from django.db import connection as django_connection
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_app import forget
from ingest_app.records import Forget
from lib import zstd
from lib.clock import uuid7
from lib.postgres import conninfo
from llm.exchange import Attribution, Body, Charge, Exchange, PricedExchange, Reading
from requests_app import bodies, common_text, dictionaries, queries, store, store_dictionaries
from requests_app.models import BodyDictionary, LLMRequestBody, RetentionPolicy
from tests.faults.processes import wait_until

NOW = datetime(2026, 11, 20, 3, 40, tzinfo=UTC)
ACME, GLOBEX = 1, 2
JSON = "application/json"
SYSTEM = "You are the assistant of Acme. " + " ".join(f"Rule {n}: be {n} times as kind." for n in range(60))


def connect() -> Any:
    return psycopg.connect(conninfo(django_connection.settings_dict, application="test"), autocommit=True)


@pytest.fixture
def db(transactional_db: None) -> Iterator[Any]:
    with closing(connect()) as opened:
        store.prepare(opened)
        starts = {store.partition_start(NOW - timedelta(days=n), 7) for n in range(-14, 60, 7)}
        store.ensure_partitions(opened, starts, days=7)
        yield opened
        opened.execute("TRUNCATE llm_request, llm_request_body, request_alias, body_dictionary, retention_policy")


def said(
    number: int, user: str | None, text: str, *, organization_id: int = ACME, days_ago: float = 0.5
) -> PricedExchange:
    at = NOW - timedelta(days=days_ago) + timedelta(seconds=number)
    request = orjson.dumps({"model": "gpt-4o", "messages": [
        {"role": "system", "content": SYSTEM}, {"role": "user", "content": text},
    ]})  # fmt: skip
    response = orjson.dumps({"id": f"chatcmpl-{number}", "choices": [{"message": {"content": f"To {text}"}}]})
    exchange = Exchange(
        id=uuid7(at), organization_id=organization_id, requested_at=at, door="log", provider="openai", status=200,
        request=Body(request, "application/json", "", len(request)),
        response=Body(response, "application/json", "", len(response)), attribution=Attribution(end_user_id=user),
    )  # fmt: skip
    return PricedExchange(exchange, Reading(), Charge(None, "no_usage"))


def put(db: Any, batch: Sequence[PricedExchange]) -> None:
    with db.transaction():
        store.store(db, batch)


def crowd(count: int = 300, **where: Any) -> list[PricedExchange]:
    return [said(n, f"user-{n % 20}", f"My number is {n * 7919}.", **where) for n in range(count)]


def read_all(organization_id: int = ACME) -> dict[Any, bytes | None]:
    rows = queries.bodies([row for row in map(store.row_from, _rows(organization_id))])
    return {one: bodies.read(stored).request for one, stored in rows.items()}


def _rows(organization_id: int) -> list[dict[str, Any]]:
    with connect() as other, other.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(store.COLUMNS)} FROM llm_request WHERE organization_id = %s", [organization_id]
        )
        return [dict(zip(store.COLUMNS, row, strict=True)) for row in cursor.fetchall()]


def sent(batch: Sequence[PricedExchange]) -> dict[Any, bytes]:
    return {one.exchange.id: one.exchange.request.data for one in batch}


def versions() -> set[int]:
    return set(BodyDictionary.objects.values_list("version", flat=True))


def test_a_line_that_keeps_up_packs_better_and_both_are_read(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(1)
    words = [" ".join(chance.choices(SYSTEM.split(), k=150)) for _ in range(60)]
    batch, hurried = ([said(n, "ann", text, days_ago=days) for n, text in enumerate(words)] for days in (1, 2))
    monkeypatch.setattr(store, "LEISURELY", len(batch))
    put(db, batch)
    monkeypatch.setattr(store, "LEISURELY", 0)
    put(db, hurried)
    assert read_all() == sent([*batch, *hurried])
    rows = queries.bodies([store.row_from(row) for row in _rows(ACME)])
    well, fast = (sum(len(rows[one.exchange.id].together or b"") for one in some) for some in (batch, hurried))
    assert well < fast
    assert {row.request_type for row in rows.values()} == {row.response_type for row in rows.values()} == {JSON}


# --- the codec --------------------------------------------------------------------------------------------------------

SAMPLES = [orjson.dumps({"role": "user", "content": f"number {n}, {n * 7919}", "n": n}) for n in range(400)]


@settings(max_examples=60)
@given(st.binary(min_size=8, max_size=3000), st.lists(st.binary(max_size=2000), max_size=5))
def test_what_a_dictionary_packs_it_unpacks(text, sides):
    made = zstd.dictionary(text, number=7, samples=SAMPLES)
    codec, elsewhere = zstd.Codec(made), zstd.Codec(made)
    for data in (*sides, text, text * 3, b"\0" * 300_000):
        assert elsewhere.decompress(codec.compress(data)) == data
        assert elsewhere.decompress(zstd.PLAIN.compress(data)) == data


def test_a_dictionary_says_what_it_was_given_and_nothing_of_its_samples():
    made = zstd.dictionary(
        b"only this text, and no other", number=7, samples=[b"secret word %d " % n * 9 for n in range(500)]
    )
    assert made.endswith(b"only this text, and no other")
    assert b"secret" not in made and len(made) < 500


def test_another_dictionary_is_an_error_and_not_a_wrong_text():
    one, other = (zstd.Codec(zstd.dictionary(SYSTEM.encode(), number=n, samples=SAMPLES)) for n in (7, 8))
    with pytest.raises(Exception, match=r"[Dd]ictionary"):
        other.decompress(one.compress(SYSTEM.encode()))


@given(st.binary(max_size=3000), st.sampled_from([zstd.LEVEL, zstd.THOROUGH]))
def test_frames_are_read_with_their_magic_number_and_without(data, level):
    kept = zstd.PLAIN.compress(data, level)
    assert zstd.PLAIN.decompress(kept) == data
    assert zstd.PLAIN.decompress(zstandard.ZstdCompressor(level=level).compress(data)) == data
    assert not kept.startswith(zstd.MAGIC)


def test_too_few_samples_are_an_error_with_a_name():
    with pytest.raises(zstd.TooLittle):
        zstd.dictionary(b"text", number=1, samples=[b"one"])


def test_threads_share_a_codec():
    codec = zstd.Codec(zstd.dictionary(SYSTEM.encode(), number=7, samples=SAMPLES))
    wrong: list[bytes] = []

    def work(letter: bytes) -> None:
        for n in range(300):
            data = letter * n + SYSTEM.encode()
            if codec.decompress(codec.compress(data)) != data:
                wrong.append(data)

    threads = [threading.Thread(target=work, args=(letter,)) for letter in (b"a", b"b", b"c", b"d")]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert wrong == []


def test_no_more_codecs_are_kept_than_said():
    kept, loads = store_dictionaries._Codecs(2), []

    def get(version: int) -> None:
        kept.get((ACME, version), lambda: loads.append(version) or b"some text of a dictionary")

    for version in (1, 2, 1, 3, 1, 2):
        get(version)
    assert loads == [1, 2, 3, 2]


# --- training ---------------------------------------------------------------------------------------------------------


def test_new_bodies_are_packed_with_what_was_trained_and_all_can_be_read(db):
    before = crowd()
    put(db, before)
    (trained,) = dictionaries.train_all(db, NOW)
    assert trained.packed < trained.plain / 2
    after = [said(1000 + n, f"user-{n % 20}", "Again.") for n in range(20)]
    put(db, after)
    assert set(LLMRequestBody.objects.values_list("dict_version", flat=True)) == {0, trained.version}
    assert read_all() == sent([*before, *after])
    packed = LLMRequestBody.objects.get(id=after[0].exchange.id).together
    assert len(packed) < len(zstd.compress(after[0].exchange.request.data)) / 3


def test_an_old_version_stays_as_long_as_a_body_needs_it(db):
    put(db, crowd())
    (first,) = dictionaries.train_all(db, NOW)
    second_batch = [said(1000 + n, f"user-{n % 20}", "Again.") for n in range(300)]
    put(db, second_batch)
    later = NOW + timedelta(days=7)
    put(db, [said(n, f"user-{n % 20}", "Later.", days_ago=-6.5) for n in range(300)])
    (second,) = dictionaries.train_all(db, later)
    assert versions() == {first.version, second.version}
    assert sent(second_batch).items() <= read_all().items()
    db.execute("DELETE FROM llm_request_body WHERE requested_at < %s", (NOW + timedelta(days=1),))
    put(db, [said(n, f"user-{n % 20}", "Later still.", days_ago=-6.6) for n in range(5)])
    db.execute("DELETE FROM llm_request_body WHERE dict_version = %s", (first.version,))
    assert store_dictionaries.sweep(db, later) == [first.version]
    assert versions() == {second.version}


def test_a_dictionary_goes_when_its_organisation_has_no_bodies(db):
    put(db, crowd())
    dictionaries.train_all(db, NOW)
    db.execute("TRUNCATE llm_request, llm_request_body")
    assert len(versions()) == 1
    dictionaries.train_all(db, NOW + timedelta(days=1, minutes=1))
    assert versions() == set()


def test_organisations_have_dictionaries_of_their_own(db):
    put(db, [*crowd(), *crowd(organization_id=GLOBEX)])
    acme, globex = dictionaries.train_all(db, NOW)
    put(db, [said(2000, "user-1", "x"), said(2000, "user-1", "x", organization_id=GLOBEX)])
    used = dict(LLMRequestBody.objects.filter(dict_version__gt=0).values_list("organization_id", "dict_version"))
    assert used == {ACME: acme.version, GLOBEX: globex.version}


@pytest.mark.parametrize("people", [1, common_text.PEOPLE - 1])
def test_few_people_make_no_dictionary(db, people):
    put(db, [said(n, f"user-{n % people}", "Hello.") for n in range(300)])
    assert dictionaries.train_all(db, NOW) == [] and versions() == set()


def test_an_old_dictionary_is_not_written_with_for_longer_than_bodies_are_kept(db):
    RetentionPolicy.objects.create(organization_id=ACME, body_days=2, request_days=30)
    put(db, crowd())
    assert dictionaries.train_all(db, NOW)
    later = NOW + timedelta(days=2)
    assert dictionaries.train_all(db, later) == []
    put(db, [said(1, "user-1", "x", days_ago=-1)])
    assert LLMRequestBody.objects.get(requested_at__gt=NOW).dict_version == 0


def test_nothing_of_a_deleted_user_is_in_the_dictionary(db):
    words = "Call me at 555-0134, my sister Elspeth is in hospital."
    batch = [*crowd(), *(said(5000 + n, "user-3", words) for n in range(50))]
    put(db, batch)
    dictionaries.train_all(db, NOW)
    theirs = [one for one in batch if one.exchange.attribution.end_user_id == "user-3"]
    with db.transaction():
        forget.apply(db, [Forget(ACME, tuple(one.exchange.id for one in theirs), NOW)])
    content = bytes(BodyDictionary.objects.get().content)
    assert not LLMRequestBody.objects.filter(id__in=[one.exchange.id for one in theirs]).exists()
    assert b"Rule 7" in content
    for piece in (b"Elspeth", b"555-0134", b"hospital", b"Call me"):
        assert piece not in content
    for one in theirs[:10]:
        text = orjson.loads(one.exchange.request.data)["messages"][1]["content"]
        assert text.encode() not in content


def test_a_missing_dictionary_is_named(db):
    put(db, crowd())
    (trained,) = dictionaries.train_all(db, NOW)
    put(db, [said(1000, "user-1", "x")])
    stored = LLMRequestBody.objects.get(dict_version=trained.version)
    row = store.row_from(next(one for one in _rows(ACME) if one["id"] == stored.id))
    body = replace(queries.bodies([row])[stored.id], dict_version=trained.version + 99)
    with pytest.raises(bodies.BodyUnreadable, match=f"needs dictionary {trained.version + 99}, which is not here"):
        bodies.read(body)


# --- at the same time -------------------------------------------------------------------------------------------------


def test_a_version_a_batch_is_being_written_with_is_not_swept(db):
    put(db, crowd())
    (trained,) = dictionaries.train_all(db, NOW)
    store_dictionaries.retire(db, ACME)
    db.execute("UPDATE body_dictionary SET is_current = true")
    late = said(1000, "user-1", "x")
    gone: list[list[int]] = []

    def sweep() -> None:
        with connect() as other:
            gone.append(store_dictionaries.sweep(other, NOW + timedelta(days=3)))

    with db.transaction():
        store.store(db, [late])
        thread = threading.Thread(target=sweep)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
    thread.join()
    assert gone == [[]] and versions() == {trained.version}
    assert read_all()[late.exchange.id] == late.exchange.request.data


def is_longer(found: Sequence[Any], length: int) -> bool:
    return len(found) > length


def test_lines_write_while_dictionaries_come_and_go(db):
    put(db, crowd())
    stopping = threading.Event()
    written: list[PricedExchange] = []

    def line(offset: int) -> None:
        with connect() as own:
            store.prepare(own)
            number = offset
            while not stopping.is_set():
                batch = [said(number + n, f"user-{n}", f"Line {number}.") for n in range(10)]
                number += 10
                put(own, batch)
                written.extend(batch)

    threads = [threading.Thread(target=line, args=(offset,)) for offset in (10_000, 20_000)]
    [thread.start() for thread in threads]
    try:
        content = zstd.dictionary(SYSTEM.encode(), number=1, samples=SAMPLES)
        for _ in range(40):
            version = store_dictionaries.next_version(db)
            head = content[:4] + version.to_bytes(4, "little") + content[8:]
            store_dictionaries.install(db, ACME, version=version, content=head, made_at=NOW)
            store_dictionaries.sweep(db, NOW + timedelta(days=2))
            wait_until(partial(is_longer, written, len(written)), "a line wrote a batch")
    finally:
        stopping.set()
        [thread.join() for thread in threads]
    assert sent(written).items() <= read_all().items()
    assert LLMRequestBody.objects.values("dict_version").distinct().count() > 2
