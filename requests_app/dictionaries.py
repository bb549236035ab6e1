"""Training dictionaries of bodies: one for each organisation, of what its end users' bodies have in common.

Once a day each organisation's recent bodies are looked at, sooner while it has no dictionary. A new one takes the place
of the old where it saves enough, and in any case once the old one is OLDEST or older than bodies are kept: so text
that is in no body any more leaves the dictionaries too. What is in one is decided by `common_text.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

import zstandard

from lib import zstd
from requests_app import body_frame, common_text, store_dictionaries
from requests_app.common_text import Sample
from requests_app.models import BodyDictionary
from requests_app.store_dictionaries import Current, Db, Stored

log = logging.getLogger("dictionaries")

EVERY = timedelta(days=1)
OLDEST = timedelta(days=7)
LOOKED_AT = timedelta(days=7)
AMONG, MOST, LEAST = 60_000, 3_000, 200
"""Bodies: picked from so many of the newest, so many; with fewer than the last there is no dictionary."""
MOST_BYTES = 10_000_000
"""Together; some 10 MB of memory and half a second each million. More finds more words people have in common, of which
a dictionary twice as large would be made; it saves 2 % more and takes the worker's memory."""
LONGEST = 65_536
"""Bytes of a body that are looked at."""
WORTH = 0.03
"""The part of the bytes on disk a new dictionary must save to be put in."""


def codec(organization_id: int, version: int) -> zstd.Codec:
    """To read a stored body with. Raises BodyDictionary.DoesNotExist."""
    if not version:
        return zstd.PLAIN
    return store_dictionaries.codec(organization_id, version, load=lambda: _load(organization_id, version))


def _load(organization_id: int, version: int) -> bytes:
    return bytes(BodyDictionary.objects.get(organization_id=organization_id, version=version).content)


# --- training -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training came to: bytes the held-out bodies take, packed with it, as they are now, and with none."""

    organization_id: int
    version: int
    packed: int
    before: int
    plain: int


def train_all(connection: Db, now: datetime) -> list[Trained]:
    """Trains where it is due, then removes what no body needs. Nothing where another is at it. Autocommit."""
    if connection.execute("SELECT pg_try_advisory_lock(%s)", (store_dictionaries.LOCK,)).fetchone() != (True,):
        return []
    try:
        tried = (train(connection, one, now) for one in store_dictionaries.organizations(connection))
        done = [trained for trained in tried if trained]
        for version in store_dictionaries.sweep(connection, now):
            log.info("dictionary removed version=%d", version)
        return done
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (store_dictionaries.LOCK,))


def train(connection: Db, organization_id: int, now: datetime) -> Trained | None:
    """A new dictionary where one is due and worth it. What is too old and not replaced is retired."""
    old = store_dictionaries.current(connection, organization_id)
    if old and now - old.made_at < EVERY:
        return None
    days = store_dictionaries.body_days(connection, organization_id)
    kept = timedelta(days=days) if days else OLDEST
    made = _made(connection, organization_id, old, since=now - min(LOOKED_AT, kept))
    is_old = old is not None and now - old.made_at >= min(OLDEST, kept)
    if made and _is_worth(made[0], replaces_old=is_old):
        trained, content = made
        store_dictionaries.install(connection, organization_id, version=trained.version, content=content, made_at=now)
        return trained
    if is_old:
        store_dictionaries.retire(connection, organization_id)
    return None


def _is_worth(trained: Trained, *, replaces_old: bool) -> bool:
    """An old one goes in any case, so its successor is compared with having none."""
    return trained.packed < (trained.plain if replaces_old else trained.before) * (1 - WORTH)


def _made(
    connection: Db, organization_id: int, old: Current | None, *, since: datetime
) -> tuple[Trained, bytes] | None:
    stored = store_dictionaries.recent(connection, organization_id, since=since, among=AMONG, most=MOST)
    if len(stored) < LEAST or len({one.person for one in stored if one.person}) < common_text.PEOPLE:
        return None
    samples = list(_samples(organization_id, stored))
    held_out, seen = samples[::5], [sample for index, sample in enumerate(samples) if index % 5]
    text = common_text.joined(common_text.common(seen), most=zstd.LARGEST_DICTIONARY)
    version = store_dictionaries.next_version(connection)
    try:
        content = zstd.dictionary(text, number=version, samples=[data for _, data in islice(seen, 0, None, 2)])
    except zstd.TooLittle:
        return None
    tried = [data for _, data in held_out]
    plain = _packed(tried, zstd.PLAIN)
    before = _packed(tried, zstd.Codec(old.content)) if old else plain
    return Trained(organization_id, version, _packed(tried, zstd.Codec(content)), before, plain), content


def _samples(organization_id: int, stored: Sequence[Stored]) -> Iterator[Sample]:
    """Unpacked, cut to what is looked at; what cannot be unpacked is passed over."""
    room = MOST_BYTES
    for one in stored:
        try:
            packed = codec(organization_id, one.version)
            parts = [packed.decompress(frame) for frame in one.frames]
        except (zstandard.ZstdError, BodyDictionary.DoesNotExist):
            continue
        for part in body_frame.split(parts[0]) if one.is_joined else parts:
            room -= len(part[:LONGEST])
            if room < 0:
                return
            if part:
                yield Sample(one.person, part[:LONGEST])


def _packed(bodies: Sequence[bytes], codec: zstd.Codec) -> int:
    return sum(len(codec.compress(body, zstd.THOROUGH)) for body in bodies)
