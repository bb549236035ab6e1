"""What edge knows: read in one go, told of changes, kept on disk, good while Postgres is away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone
from psycopg.conninfo import make_conninfo

from accounts_app import snapshot
from accounts_app.keys import hash_key, mint
from accounts_app.models import ApiKey, Organization
from accounts_app.snapshot import Keeper

NOWHERE = "host=/nonexistent dbname=none connect_timeout=1"


def conninfo() -> str:
    given = connection.get_connection_params()
    return make_conninfo(**{k: given[k] for k in ("dbname", "user", "password", "host", "port") if given.get(k)})


def new_key(organization: Organization) -> str:
    key = mint()
    ApiKey.objects.create(organization=organization, name="k", key_hash=hash_key(key), hint=key[-4:])
    return key


async def beside(work: Callable[[], object]) -> Any:
    """Runs ORM work in a thread that leaves no connection behind."""

    def done() -> object:
        try:
            return work()
        finally:
            connections.close_all()

    return await asyncio.to_thread(done)


@contextlib.asynccontextmanager
async def kept(keeper: Keeper):
    running = asyncio.create_task(keeper.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(predicate) -> None:
    for _ in range(500):
        if await predicate() if asyncio.iscoroutinefunction(predicate) else predicate():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


@pytest.mark.django_db(transaction=True)
def test_a_new_key_speaks_at_once_and_a_revoked_one_no_more(tmp_path):
    organization = Organization.objects.create(name="o")
    first = new_key(organization)

    async def work():
        keeper = Keeper(conninfo(), tmp_path / "snapshot.json")
        assert await keeper.speaker(first) is None
        async with kept(keeper):
            await until(lambda: keeper.current is not None)
            speaker = await keeper.speaker(first)
            assert speaker is not None
            assert (speaker.organization_id, speaker.may_write) == (organization.id, True)
            assert not speaker.asks_stream_usage
            await beside(lambda: Organization.objects.update(asks_stream_usage=True))
            await until(lambda: keeper.current.speaker(first).asks_stream_usage)
            second = await beside(lambda: new_key(organization))
            await until(lambda: keeper.current.speaker(second) is not None)
            await beside(lambda: ApiKey.objects.filter(key_hash=hash_key(first)).update(revoked_at=timezone.now()))
            await until(lambda: keeper.current.speaker(first) is None)
            assert await keeper.speaker(second) is not None

    asyncio.run(work())


@pytest.mark.django_db(transaction=True)
def test_a_revocation_arrives_even_when_its_notification_is_lost(tmp_path, monkeypatch):
    organization = Organization.objects.create(name="o")
    key = new_key(organization)
    monkeypatch.setattr(snapshot, "LOOK_SECONDS", 0.05)

    async def deaf(self, **_):
        await asyncio.sleep(0.05)
        return
        yield

    monkeypatch.setattr("psycopg.AsyncConnection.notifies", deaf)

    async def work():
        keeper = Keeper(conninfo(), tmp_path / "snapshot.json")
        async with kept(keeper):
            await until(lambda: keeper.current is not None)
            await beside(lambda: ApiKey.objects.update(revoked_at=timezone.now()))
            await until(lambda: keeper.current.speaker(key) is None)

    asyncio.run(work())


@pytest.mark.django_db(transaction=True)
def test_the_last_good_copy_serves_while_postgres_is_away(tmp_path):
    file = tmp_path / "snapshot.json"
    key = new_key(Organization.objects.create(name="o"))

    async def read_once():
        keeper = Keeper(conninfo(), file)
        async with kept(keeper):
            await until(lambda: keeper.current is not None)

    async def without():
        keeper = Keeper(NOWHERE, file)
        async with kept(keeper):
            assert await keeper.speaker(key) is not None
            assert await keeper.speaker(mint()) is None
            await asyncio.sleep(0.05)
            assert keeper.current is not None

    asyncio.run(read_once())
    assert file.stat().st_mode & 0o777 == 0o600
    assert key not in file.read_text()
    asyncio.run(without())


@pytest.mark.django_db(transaction=True)
def test_an_unknown_key_makes_one_extra_look_a_second(tmp_path, monkeypatch):
    looks = []
    organization = Organization.objects.create(name="o")

    async def work():
        keeper = Keeper(conninfo(), tmp_path / "snapshot.json")
        async with kept(keeper):
            await until(lambda: keeper.current is not None)
        connect = keeper._connect
        monkeypatch.setattr(keeper, "_connect", lambda: looks.append(1) or connect())
        late = await beside(lambda: new_key(organization))
        assert await keeper.speaker(late) is not None
        assert [await keeper.speaker(mint()) for _ in range(20)] == [None] * 20
        assert len(looks) == 1

    asyncio.run(work())


def test_a_broken_copy_is_as_none(tmp_path):
    for text in ("", "{", '{"version":1}', "[]"):
        (tmp_path / "snapshot.json").write_text(text)
        assert Keeper(NOWHERE, tmp_path / "snapshot.json").current is None


def test_a_copy_from_before_a_part_was_there_has_no_rows_of_it_and_one_without_keys_is_none(tmp_path):
    file, later = tmp_path / "snapshot.json", snapshot.Part("later", "SELECT 1 AS one", list)
    file.write_text('{"version": 3, "at": 1.0, "parts": {"keys": []}}')
    kept_copy = Keeper(NOWHERE, file, (snapshot.KEYS, later)).current
    assert kept_copy is not None
    assert kept_copy.parts["later"] == []
    file.write_text('{"version": 3, "at": 1.0, "parts": {"later": []}}')
    assert Keeper(NOWHERE, file, (snapshot.KEYS, later)).current is None
