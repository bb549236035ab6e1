"""From a posted log to its row: whatever a door took, Postgres can keep."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from django.db import connection as django_connection

from ingest_app.doors import DoorReply, DoorRequest, Doorway, handle
from ingest_app.run import Line, Settings
from ingest_app.spool import Reader, Writer
from lib import zstd
from lib.postgres import conninfo
from llm.pricing import PriceBook
from requests_app import body_frame, store
from tests.ingest_app.postings import KEY, NOW, KnownKeys, log
from tests.ingest_app.test_client_corpus import posts

pytestmark = pytest.mark.django_db(transaction=True)
CHOSEN = "7d444840-9dc0-11d1-b245-5ffdce74fad2"


def connect() -> store.Db:
    return psycopg.connect(conninfo(django_connection.settings_dict, application="test"), autocommit=True)


@dataclass
class House:
    """Door, spool, line and ground, without the processes."""

    folder: Path
    keys: KnownKeys = field(default_factory=KnownKeys)

    def post(self, *bodies: Any, path: str = "/custom/v1/log", **headers: str) -> list[DoorReply]:
        said = {"authorization": f"Bearer {KEY}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        writer = Writer(self.folder, max_bytes=2**40, min_free_bytes=0)
        doorway = Doorway(self.keys, writer, max_bytes=2**24, max_age=timedelta(days=400), now=lambda: NOW)
        requests = [
            DoorRequest("POST", path, said, body if isinstance(body, bytes) else orjson.dumps(body)) for body in bodies
        ]

        async def all_of_them() -> list[DoorReply]:
            return [await handle(request, doorway) for request in requests]

        try:
            return asyncio.run(all_of_them())
        finally:
            writer.close()

    def rows(self, columns: str) -> list[tuple[Any, ...]]:
        """What the line made of it all."""
        reader = Reader(self.folder)
        line = Line(reader, connect=connect, load_prices=lambda _: PriceBook(()), settings=Settings(partition_days=7))
        while line.step():
            pass
        assert reader.depth() == (0, 0, 0)
        line.close()
        reader.close()
        with connect() as db:
            return db.execute(f"SELECT {columns} FROM llm_request ORDER BY id").fetchall()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    yield House(tmp_path)
    with django_connection.cursor() as cursor:
        cursor.execute("TRUNCATE llm_request, llm_request_body, session, request_alias, pending_amendment")


def test_a_posted_log_is_a_row(house: House) -> None:
    house.post(log(), helicone_user_id="u", helicone_session_id="s", helicone_property_env="prod")
    columns = "provider, model, status, input_tokens, output_tokens, duration_ms, end_user_id, session_id, properties"
    assert house.rows(columns) == [("openai", "gpt-4o-mini-2024-07-18", 200, 12, 3, 750, "u", "s", {"env": "prod"})]


def test_the_same_chosen_id_twice_is_one_row(house: House) -> None:
    later = log(response__status=500, timing={"startTime": 1795003195})
    replies = house.post(log(), later, helicone_request_id=CHOSEN)
    assert [reply.headers["helicone-id"] for reply in replies] == [CHOSEN, CHOSEN]
    assert house.rows("client_request_id, status") == [(CHOSEN, 200)]


def test_a_price_of_nothing_is_a_price(house: House) -> None:
    free = {"helicone_input_token_cost": "0", "helicone_output_token_cost": "0"}
    house.post(log(), **free)
    assert house.rows("cost_nano_usd") == [(0,)]


def test_an_omitted_body_is_in_no_table(house: House) -> None:
    house.post(log(), helicone_omit_request="true", helicone_omit_response="true")
    assert house.rows("input_tokens, request_state, response_state") == [(12, "omitted", "omitted")]
    with connect() as db:
        found = db.execute("SELECT request, response, response_raw, together FROM llm_request_body").fetchall()
    for *apart, together in found:
        assert apart == [None] * 3
        assert body_frame.split(zstd.decompress(together))[:2] == (b"", b"")


NASTY = "a\x00b\ud7ff\uffff'\"\\\t\n" + "\U0001f600" * 3000
NASTY_BODIES = [
    log(request__url=f"https://{NASTY}/", request__json=NASTY, response__json={NASTY: NASTY}),
    log(request__json={"model": NASTY, "messages": [{"role": NASTY, "content": NASTY}], "user": NASTY, "stream": "x"}),
    log(response__json={"id": NASTY, "object": "chat.completion", "model": NASTY, "choices": [{"finish_reason": NASTY}],
                        "usage": {"prompt_tokens": 2**40, "completion_tokens": -1, NASTY: NASTY}}),
    log(response__json={"error": {"message": NASTY, "type": NASTY, "code": NASTY}}, response__status=500),
    log(response__textBody=NASTY, provider=NASTY, response__headers={NASTY: NASTY, "content-type": NASTY}),
    log(request__meta={f"Helicone-Property-{NASTY}": NASTY, "Helicone-Session-Id": NASTY, "Helicone-User-Id": NASTY,
                       "Helicone-Session-Path": NASTY, "Helicone-Prompt-Id": NASTY, "Helicone-Model-Override": NASTY}),
    log(response__cost=999_999, timing={"startTime": 0, "endTime": 4e9, "timeToFirstToken": 2e9}),
    log(request__json={"_type": "tool", "toolName": NASTY, "input": 1}, response__json={"_type": "tool", "x": NASTY}),
    orjson.dumps(log(request__json={})).replace(b"{}", b'{"messages":' + b"[" * 400 + b"]" * 400 + b"}", 1),
]  # fmt: skip


@pytest.mark.parametrize("body", NASTY_BODIES)
def test_whatever_a_door_took_becomes_a_row(house: House, body: Any) -> None:
    (reply,) = house.post(body)
    assert (reply.status, reply.body) == (200, b"ok")
    assert len(house.rows("id")) == 1


@pytest.mark.skipif(not posts(), reason="the corpus of recorded clients is not here")
def test_every_recorded_log_becomes_a_row(house: House) -> None:
    for row in posts().values():
        (reply,) = house.post(row["body"].encode(), path=row["path"])
        assert reply.status == 200
    assert len(house.rows("id")) == len(posts())
