"""The only writer of the ground. Takes batches inside the caller's transaction, answers what changed.

Running a batch twice changes nothing the second time: rows are keyed by (organization_id, requested_at, id), all three
fixed before the spool. Everything is written in key order, so that two lines never wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

import orjson
from psycopg import Connection, sql
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from lib import zstd
from lib.clock import time_of
from lib.frozen import dataclass
from llm.exchange import PricedExchange
from requests_app import page_filling, spellings, store_dictionaries, usage_packing
from requests_app.columns import body_row_of, json_safe, row_of
from requests_app.rows import BodyRow, Change, RequestRow

PARTITIONED = ("llm_request", "llm_request_body")
PARTITION_LOCK = 7702
SETTINGS_OF_A_PARTITION = {"llm_request_body": "WITH (toast_tuple_target = 8160)"}
"""Bodies that fit into a page lie in the row: in a table of their own each would be cut, and cost an index entry."""
FIRST_MONDAY = datetime(2000, 1, 3, tzinfo=UTC)
WEEKS_AHEAD = 4
LEISURELY = 200
"""A batch of no more has left nothing waiting: there is time to pack its bodies well."""

COLUMNS = tuple(f.name for f in fields(RequestRow))
JSON_COLUMNS = ("usage_parts", "properties", "scores", "amended")
TYPES = {
    "organization_id": "int8", "requested_at": "timestamptz", "id": "uuid", "cached_from": "uuid",
    "status": "int2", "is_stream": "bool",
    "cached": "bool", "duration_ms": "int4", "time_to_first_token_ms": "int4", "input_tokens": "int4",
    "output_tokens": "int4", "cache_read_tokens": "int4", "cache_write_tokens": "int4",
    "cache_write_1h_tokens": "int4", "reasoning_tokens": "int4", "input_audio_tokens": "int4",
    "output_audio_tokens": "int4", "web_searches": "int4", "cost_nano_usd": "int8", "price_id": "int8",
    "estimated_input_tokens": "int4", "estimated_output_tokens": "int4", "estimated_cost_nano_usd": "int8",
    "api_key_id": "int8", "threat": "bool", "request_bytes": "int4", "response_bytes": "int4",
    "tool_calls": "text[]", "problems": "text[]", "usage": "bytea",
    **dict.fromkeys(JSON_COLUMNS, "jsonb"),
}  # fmt: skip
"""Of every column that is not text."""
BODY_COLUMNS = tuple(f.name for f in fields(BodyRow))
_BODY_VALUES = attrgetter(*BODY_COLUMNS)
BODY_TYPES = ("int8", "timestamptz", "uuid", "int4", "int4", *("bytea",) * 5, "text", "text")

_NAMES = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
_INBOX = "CREATE TEMP TABLE IF NOT EXISTS inbox (LIKE llm_request INCLUDING DEFAULTS) ON COMMIT DELETE ROWS"
_COPY = sql.SQL("COPY inbox ({}) FROM STDIN (FORMAT BINARY)").format(_NAMES)
_INSERT = sql.SQL(
    "INSERT INTO llm_request ({0}) SELECT {0} FROM inbox ORDER BY organization_id, requested_at, id "
    "ON CONFLICT DO NOTHING RETURNING organization_id, requested_at, id"
).format(_NAMES)
_COPY_BODIES = sql.SQL("COPY llm_request_body ({}) FROM STDIN (FORMAT BINARY)").format(
    sql.SQL(", ").join(map(sql.Identifier, BODY_COLUMNS))
)
_SELECT = sql.SQL("SELECT {} FROM llm_request").format(_NAMES)

Key = tuple[int, datetime, UUID]
Db = Connection[Any]


@dataclass(frozen=True, slots=True)
class Stored:
    changes: tuple[Change, ...]
    duplicates: int
    """Exchanges of the batch that were there already, or whose client-chosen id was."""
    again: tuple[tuple[Key, PricedExchange], ...] = ()
    """Spans that were there already, with the key of their row: to be merged."""


def prepare(connection: Db) -> None:
    """Once a connection, outside a transaction: the temporary table batches go through."""
    connection.execute(_INBOX)


# --- partitions -------------------------------------------------------------------------------------------------


def partition_start(moment: datetime, days: int) -> datetime:
    """The first moment of the partition `moment` falls into; boundaries are counted from Monday 2000-01-03 UTC."""
    width = timedelta(days=days)
    return FIRST_MONDAY + ((moment - FIRST_MONDAY) // width) * width


def existing_partitions(connection: Db) -> set[datetime]:
    """Starts of the partitions both tables have."""
    rows = connection.execute(
        "SELECT right(c.relname, 8) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = ANY(%b::regclass[]) GROUP BY 1 HAVING count(*) = %s",
        (list(PARTITIONED), len(PARTITIONED)),
    ).fetchall()
    return {datetime.strptime(row[0], "%Y%m%d").replace(tzinfo=UTC) for row in rows}


def ensure_partitions(connection: Db, starts: Iterable[datetime], *, days: int) -> None:
    """Creates and attaches what is missing, each in a short transaction of its own, one process at a time.

    ATTACH takes a weaker lock on the parent than CREATE … PARTITION OF would: readers and writers go on.
    """
    for start in sorted(starts):
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (PARTITION_LOCK,))
            for table in PARTITIONED:
                _attach(connection, table, start, start + timedelta(days=days))


def _attach(connection: Db, table: str, start: datetime, end: datetime) -> None:
    name = f"{table}_p{start:%Y%m%d}"
    if connection.execute("SELECT to_regclass(%s)", (name,)).fetchone() != (None,):
        return
    parent, child = sql.Identifier(table), sql.Identifier(name)
    settings = sql.SQL(SETTINGS_OF_A_PARTITION.get(table, ""))
    connection.execute(
        sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING STORAGE) {}").format(child, parent, settings)
    )
    connection.execute(
        sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
            parent, child, sql.Literal(start), sql.Literal(end)
        )
    )


# --- new rows ---------------------------------------------------------------------------------------------------


def store(connection: Db, batch: Sequence[PricedExchange]) -> Stored:
    """Inserts what is new of the batch, with bodies and aliases. Partitions must be there."""
    unique = {_key(priced): priced for priced in batch}
    rows = {key: row_of(unique[key]) for key in sorted(unique)}
    refused = _claim_aliases(connection, rows.values())
    again = tuple((owner, unique[key]) for key, owner in refused.items() if rows[key].door == "otlp")
    rows = {key: row for key, row in rows.items() if key not in refused}
    new = _insert_rows(connection, list(rows.values()))
    level = zstd.THOROUGH if len(batch) <= LEISURELY else zstd.LEVEL
    packings = store_dictionaries.packings(connection, {key[0] for key in new}, level)
    insert_bodies(connection, [body_row_of(unique[key], packings[key[0]]) for key in rows if key in new])
    changes = tuple(Change(None, row) for key, row in rows.items() if key in new)
    return Stored(changes, len(batch) - len(changes) - len(again), again)


def _key(priced: PricedExchange) -> Key:
    exchange = priced.exchange
    return (exchange.organization_id, exchange.requested_at, exchange.id)


def _insert_rows(connection: Db, rows: Sequence[RequestRow]) -> set[Key]:
    if not rows:
        return set()
    with connection.cursor(row_factory=tuple_row) as cursor:
        with cursor.copy(_COPY) as copy:
            copy.set_types([TYPES.get(name, "text") for name in COLUMNS])
            for row in rows:
                copy.write_row(values_of(row))
        return set(cursor.execute(_INSERT).fetchall())


def values_of(row: RequestRow) -> list[Any]:
    """Of every column in COLUMNS, as Postgres takes it."""
    values = list(_VALUES(row))
    for index in _JSON_INDEXES:
        if values[index] is not None:
            values[index] = Jsonb(values[index], _dumps)
    for index in _ARRAY_INDEXES:
        values[index] = list(values[index]) or None
    for index in _MODEL_INDEXES:
        values[index] = spellings.SAME if values[index] == row.model and row.model else values[index]
    for index, spelt in _SPELT:
        values[index] = spelt.get(values[index], values[index])
    values[_USAGE_INDEX] = usage_packing.pack(values[_USAGE_INDEX])
    return values


_VALUES = attrgetter(*COLUMNS)
_USAGE_INDEX = COLUMNS.index("usage")
_JSON_INDEXES = tuple(COLUMNS.index(name) for name in JSON_COLUMNS)
_ARRAY_INDEXES = (COLUMNS.index("tool_calls"), COLUMNS.index("problems"))
_MODEL_INDEXES = (COLUMNS.index("request_model"), COLUMNS.index("response_model"))
_SPELT = tuple((COLUMNS.index(name), spelt) for name, spelt in spellings.SHORT.items())


def _dumps(value: Any) -> bytes:
    try:
        dumped = orjson.dumps(value)
    except TypeError:
        return orjson.dumps(json_safe(value), default=str)
    return orjson.dumps(json_safe(value)) if b"\\u0000" in dumped else dumped


def insert_bodies(connection: Db, bodies: Sequence[BodyRow]) -> None:
    """Rows that hold something. There must be none of their requests yet."""
    kept = [body for body in bodies if body.together or body.request or body.response or body.headers]
    if not kept:
        return
    spelt = spellings.BODY_TYPES.get
    with connection.cursor() as cursor, cursor.copy(_COPY_BODIES) as copy:
        copy.set_types(BODY_TYPES)
        for body in page_filling.ordered(kept, size=_size):
            *frames, asked, answered = _BODY_VALUES(body)
            copy.write_row([*frames, spelt(asked, asked), spelt(answered, answered)])


def _size(body: BodyRow) -> int:
    """About what it takes in a page: the fixed columns and types, and each part with its length and its padding."""
    parts = (body.together, body.request, body.response, body.response_raw, body.headers)
    return 80 + sum(len(part) + 6 for part in parts if part)


def body_from(values: Sequence[Any]) -> BodyRow:
    """A BodyRow from its columns as Postgres gives them."""
    plain: list[Any] = [bytes(value) if isinstance(value, memoryview) else value for value in values]
    plain[-2:] = [spellings.LONG_BODY_TYPES.get(kind, kind) for kind in plain[-2:]]
    return BodyRow(*plain)


def _claim_aliases(connection: Db, rows: Iterable[RequestRow]) -> dict[Key, Key]:
    """Writes down the ids clients chose, a span's two among them; answers whose id is another row's, and that row.

    At the gateway the same id again is an SDK's retry: a call of its own, which the alias does not name.
    """
    wanted: dict[tuple[int, str], RequestRow] = {}
    chosen = [(row, alias) for row in rows if (alias := alias_of(row))]
    for row, alias in chosen:
        wanted.setdefault((row.organization_id, alias), row)
    if not chosen:
        return {}
    ordered = sorted(wanted.items(), key=lambda item: (item[0][0], item[0][1].encode()))
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(
            "INSERT INTO request_alias (organization_id, client_id, requested_at, id) "
            "SELECT * FROM unnest(%b::bigint[], %b::text[], %b::timestamptz[], %b::uuid[]) ON CONFLICT DO NOTHING",
            ([key[0] for key, _ in ordered], [key[1] for key, _ in ordered],
             [row.requested_at for _, row in ordered], [row.id for _, row in ordered]),
        )  # fmt: skip
        if cursor.rowcount == len(ordered):  # nobody else's, as nearly always
            return _refused(chosen, {key: _key_of(row) for key, row in wanted.items()})
        cursor.execute(
            "SELECT a.organization_id, a.client_id, a.requested_at, a.id FROM request_alias a "
            "JOIN unnest(%b::bigint[], %b::text[]) AS w (organization_id, client_id) "
            "USING (organization_id, client_id)",
            ([key[0] for key in wanted], [key[1] for key in wanted]),
        )
        owners = {(org, client_id): (org, at, identifier) for org, client_id, at, identifier in cursor}
    return _refused(chosen, owners)


def _refused(chosen: Iterable[tuple[RequestRow, str]], owners: Mapping[tuple[int, str], Key]) -> dict[Key, Key]:
    return {
        key: owner
        for row, alias in chosen
        if row.door != "gateway" and (owner := owners[row.organization_id, alias]) != (key := _key_of(row))
    }


def _key_of(row: RequestRow) -> Key:
    return (row.organization_id, row.requested_at, row.id)


def alias_of(row: RequestRow) -> str | None:
    """The id it is found by beside ours: a span's own two, or the one its client chose."""
    if row.door == "otlp" and row.trace_id and row.span_id:
        return f"{row.trace_id}:{row.span_id}"
    return row.client_request_id


# --- reading rows back, to change them ----------------------------------------------------------------------------


_BY_ALIAS = """SELECT requested_at, id FROM request_alias
WHERE organization_id = %(org)s AND client_id = %(text)s LIMIT 1"""
_BY_ID = """SELECT requested_at, id FROM llm_request WHERE organization_id = %(org)s AND id = %(id)s
AND requested_at BETWEEN %(low)s AND %(high)s UNION ALL """


def locate(connection: Db, organization_id: int, request_id: UUID) -> Key | None:
    """Where the row with this id is, ours or client-chosen; None where there is none. Ours tell their time."""
    at = time_of(request_id)
    values = {
        "org": organization_id, "id": request_id, "text": str(request_id),
        "low": at - timedelta(seconds=1) if at else None, "high": at + timedelta(seconds=1) if at else None,
    }  # fmt: skip
    found = connection.execute(_BY_ID + _BY_ALIAS if at else _BY_ALIAS, values).fetchone()
    return (organization_id, found[0], found[1]) if found else None


_BY_ROOT = """SELECT requested_at, id FROM llm_request WHERE organization_id = %s AND trace_id = %s
AND (parent_span_id IS NULL OR %s) ORDER BY parent_span_id IS NOT NULL, requested_at, id LIMIT 1"""


def locate_step(connection: Db, organization_id: int, step: str, *, any_of_trace: bool = False) -> Key | None:
    """Where a span is: `<trace id>:<span id>`; of a trace alone its root, or its first span where any will do."""
    trace_id, _, span_id = step.partition(":")
    if span_id:
        found = connection.execute(_BY_ALIAS, {"org": organization_id, "text": step}).fetchone()
    else:
        found = connection.execute(_BY_ROOT, (organization_id, trace_id, any_of_trace)).fetchone()
    return (organization_id, found[0], found[1]) if found else None


def lock_row(connection: Db, key: Key) -> RequestRow | None:
    """The row as it is, held until the transaction ends."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(
            _SELECT + sql.SQL(" WHERE organization_id = %s AND requested_at = %s AND id = %s FOR UPDATE"), key
        ).fetchone()
    return row_from(dict(zip(COLUMNS, found, strict=True))) if found else None


def row_from(values: Mapping[str, Any]) -> RequestRow:
    """A RequestRow from column values as Postgres gives them."""
    return RequestRow(**{
        **values, "tool_calls": tuple(values["tool_calls"] or ()), "problems": tuple(values["problems"] or ()),
        "usage": usage_packing.unpack(values["usage"]),
        **{name: values["model"] for name in ("request_model", "response_model") if values[name] == spellings.SAME},
        **{name: long.get(values[name], values[name]) for name, long in spellings.LONG.items()},
    })


def update_late_facts(connection: Db, after: RequestRow) -> None:
    """Writes the columns a late fact may set."""
    connection.execute(
        "UPDATE llm_request SET properties = %s, scores = %s, amended = %s "
        "WHERE organization_id = %s AND requested_at = %s AND id = %s",
        (
            Jsonb(after.properties, _dumps), Jsonb(after.scores, _dumps) if after.scores else None,
            Jsonb(after.amended, _dumps), after.organization_id, after.requested_at, after.id,
        ),
    )


def delete_row(connection: Db, key: Key) -> None:
    """The row, its bodies, and the id a client gave it."""
    for table in ("llm_request", "llm_request_body", "request_alias"):
        connection.execute(
            sql.SQL("DELETE FROM {} WHERE organization_id = %s AND requested_at = %s AND id = %s").format(
                sql.Identifier(table)
            ),
            key,
        )


# --- facts that came first ------------------------------------------------------------------------------------------


def keep_pending(connection: Db, facts: Sequence[tuple[int, UUID, datetime, Mapping[str, Any]]]) -> None:
    """(organization_id, request_id, at, facts): waits for its request, which may never come."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO pending_amendment (organization_id, request_id, at, facts) VALUES (%s, %s, %s, %s)",
            [(org, request_id, at, Jsonb(dict(said), _dumps)) for org, request_id, at, said in facts],
        )


def has_pending(connection: Db) -> bool:
    return connection.execute("SELECT EXISTS (SELECT 1 FROM pending_amendment)").fetchone() == (True,)


def take_pending(
    connection: Db, wanted: Iterable[tuple[int, UUID]]
) -> list[tuple[int, UUID, datetime, dict[str, Any]]]:
    """Removes and answers what waited under these ids of an organisation."""
    ids = list(wanted)
    return connection.execute(
        "DELETE FROM pending_amendment p USING unnest(%b::bigint[], %b::uuid[]) AS w (organization_id, request_id) "
        "WHERE p.organization_id = w.organization_id AND p.request_id = w.request_id "
        "RETURNING p.organization_id, p.request_id, p.at, p.facts",
        ([org for org, _ in ids], [request_id for _, request_id in ids]),
    ).fetchall()


def take_pending_of_traces(
    connection: Db, *, before: datetime, limit: int
) -> list[tuple[int, UUID, datetime, dict[str, Any]]]:
    """Removes and answers facts about whole traces that have waited since before a moment for their root."""
    return connection.execute(
        "DELETE FROM pending_amendment WHERE id IN (SELECT p.id FROM pending_amendment p WHERE at < %s "
        "AND right(facts ->> 'step', 1) = ':' AND EXISTS (SELECT 1 FROM llm_request r "
        "WHERE r.organization_id = p.organization_id AND r.trace_id = rtrim(p.facts ->> 'step', ':')) "
        "ORDER BY at LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING organization_id, request_id, at, facts",
        (before, limit),
    ).fetchall()


def forget_pending(connection: Db, *, before: datetime, organization_id: int | None = None) -> int:
    """Removes what was said before a moment of requests that never came."""
    return connection.execute(
        "DELETE FROM pending_amendment WHERE at < %s AND (organization_id = %s OR %s)",
        (before, organization_id, organization_id is None),
    ).rowcount
