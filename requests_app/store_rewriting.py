"""A stored row read again from its bytes and written anew: a span that came twice, a step that counts otherwise now."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import zstandard
from psycopg import sql
from psycopg.rows import tuple_row

from lib import zstd
from llm.exchange import PricedExchange
from requests_app import body_frame, store_dictionaries
from requests_app.columns import body_row_of
from requests_app.rows import RequestRow
from requests_app.store import COLUMNS, Db, Key, insert_bodies, row_from, values_of

_KEY = ("organization_id", "requested_at", "id")
_REWRITTEN = tuple(name for name in COLUMNS if name not in _KEY)
_UPDATE = sql.SQL("UPDATE llm_request SET {} WHERE organization_id = %s AND requested_at = %s AND id = %s").format(
    sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in _REWRITTEN)
)
_READ_BODY = """SELECT dict_version, key_version, request, response, headers, together FROM llm_request_body
WHERE organization_id = %s AND requested_at = %s AND id = %s"""
_WRITE_BODY = """UPDATE llm_request_body SET request = %s, response = %s, headers = %s, together = %s
WHERE organization_id = %s AND requested_at = %s AND id = %s"""
_DROP_BODIES = "DELETE FROM llm_request_body WHERE organization_id = %s AND requested_at = %s AND id = %s"
_NAMES = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))


def rewrite(connection: Db, rows: Sequence[RequestRow]) -> None:
    """Writes every column but the key's."""
    with connection.cursor() as cursor:
        cursor.executemany(_UPDATE, [_parameters(row) for row in rows])


def _parameters(row: RequestRow) -> list[Any]:
    values = dict(zip(COLUMNS, values_of(row), strict=True))
    return [*(values[name] for name in _REWRITTEN), *(values[name] for name in _KEY)]


def request_body(connection: Db, key: Key) -> bytes | None:
    """What was captured of the request; None where it is not kept, or cannot be unpacked here."""
    try:
        parts = _parts(connection, key, _READ_BODY)
    except (LookupError, zstandard.ZstdError):
        return None
    return parts[1][0] or None if parts else None


def replace_request_body(connection: Db, key: Key, data: bytes) -> None:
    """Writes it with the dictionary its row names already; not where what is there cannot be unpacked here."""
    try:
        found = _parts(connection, key, _READ_BODY + " FOR UPDATE")
    except (LookupError, zstandard.ZstdError):
        found = None
    if found is None:
        return
    codec, (_, response, headers) = found
    parts = (data, response, headers)
    joined = body_frame.join(parts)
    frames = [codec.compress(part) if part else None for part in (parts if joined is None else (b"", b"", b""))]
    connection.execute(_WRITE_BODY, (*frames, codec.compress(joined) if joined else None, *key))


def _parts(connection: Db, key: Key, statement: str) -> tuple[zstd.Codec, body_frame.Parts] | None:
    """Of a row that is not sealed, and what it is packed with. Raises LookupError and ZstdError."""
    found = connection.execute(statement, key).fetchone()
    if found is None or found[1]:
        return None
    version, _, *frames, together = found
    codec = _codec(connection, key[0], version)
    if together is not None:
        return codec, body_frame.split(codec.decompress(bytes(together)))
    request, response, headers = (b"" if frame is None else codec.decompress(bytes(frame)) for frame in frames)
    return codec, (request, response, headers)


def replace_bodies(connection: Db, priced: PricedExchange) -> None:
    """Both bodies of a row that had none yet."""
    exchange = priced.exchange
    key = (exchange.organization_id, exchange.requested_at, exchange.id)
    connection.execute(_DROP_BODIES, key)
    packing = store_dictionaries.packings(connection, {exchange.organization_id}, zstd.THOROUGH)
    insert_bodies(connection, [body_row_of(priced, packing[exchange.organization_id])])


def _codec(connection: Db, organization_id: int, version: int) -> zstd.Codec:
    if not version:
        return zstd.PLAIN
    return store_dictionaries.codec(organization_id, version, load=partial(_content, connection, version))


def _content(connection: Db, version: int) -> bytes:
    found = connection.execute("SELECT content FROM body_dictionary WHERE version = %s", (version,)).fetchone()
    if found is None:
        raise LookupError(version)
    return bytes(found[0])


def rows_of_trace(
    connection: Db, organization_id: int, trace_id: str, *, condition: str = "true", values: Sequence[Any] = (),
    limit: int,
) -> list[RequestRow]:  # fmt: skip
    """Rows of one trace in key order, held until the transaction ends; `condition` is SQL of ours, never a client's."""
    statement = sql.SQL("SELECT {} FROM llm_request WHERE organization_id = %s AND trace_id = %s AND ({}) "
                        "ORDER BY requested_at, id LIMIT %s FOR UPDATE").format(_NAMES, sql.SQL(condition))
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(statement, (organization_id, trace_id, *values, limit))
        return [row_from(dict(zip(COLUMNS, found, strict=True))) for found in cursor]
