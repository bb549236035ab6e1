"""What the line counts of a batch, appended in the transaction of its rows; nothing here touches the folded tables.

A delta is a sum, so late rows, amendments (the row before is taken away, the row after added), erasures and any order
of folding come to the same. A question adds a folded table and its delta in ONE statement.

Usage: by minute and (kind, provider, model, status, cached); provider and model are '' where none was told. Tokens and
cost are summed on kinds that call a model only; another kind counts rows and durations. An attempt, whose request is
counted, is in nothing here.

Facets: by UTC day, kinds that call a model only. Dimensions (`dim`):

    all          every request of the day, its `val` is ''
    user         end_user_id          key      id of the API key, in digits
    prompt       prompt_id            country  country_code
    session      session_name
    p            names of property keys; at most PROPERTY_KEYS of them are admitted on a day
    p:<key>      values of that key, kept only where the key is admitted on that day

"Absent" has no rows: it is `all` minus all values and "other" (facet_day.state 1) of the dimension, over the same days.
A property key beyond the PROPERTY_KEYS of a day has no values of that day (its `p` has an "other" row then): ask the
ground. A `facet_delta` not folded yet may name values that will end up in "other" or, with their key, nowhere.
Names are compared as `counted_name` gives them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import UTC, date, datetime
from typing import Any, Protocol

from psycopg import Connection, sql

from lib.frozen import dataclass
from llm.exchange import ATTEMPT, MODEL_KINDS
from metrics_app import histogram
from requests_app.long_names import counted_name
from requests_app.rows import Change, is_error

SAVED = ("saved_nano_usd", "saved_priced", "saved_ms", "saved_tokens")
"""Of answers from the cache: what the calls not made would have cost, of how many that is known, time, tokens."""
MEASURES = (
    "requests", "priced", "cost_nano_usd", "input_tokens", "output_tokens", "cache_read_tokens",
    "cache_write_tokens", "reasoning_tokens", "input_audio_tokens", "output_audio_tokens", "duration_ms", "durations",
    "ttft_ms", "ttfts", *SAVED,
)  # fmt: skip
FACET_MEASURES = (
    "requests", "errors", "priced", "cost_nano_usd", "input_tokens", "output_tokens", "duration_ms", "durations",
    "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "input_audio_tokens", "output_audio_tokens",
    "cache_hits", "ttft_ms", "ttfts", *SAVED,
)  # fmt: skip
COMMON = 8
"""The first so many are told of most requests. A delta leaves the array of any other empty where it is all zeros."""
KEY = ("kind", "provider", "model", "status", "cached")
"""Of the usage tables, after the organisation and the time."""

ALL, PROPERTIES, PROPERTY = "all", "p", "p:"
UsageKey = tuple[int, datetime, str, str, str, int, bool]
"""(organization_id, minute, kind, provider, model, status, cached)"""
Facet = tuple[str, str]
"""(dim, val)"""
Db = Connection[Any]


class Counted(Protocol):
    """What of a row of the ground is counted: `RequestRow` has it, and so has a row read for a rebuild."""

    @property
    def organization_id(self) -> int: ...
    @property
    def requested_at(self) -> datetime: ...
    @property
    def kind(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str | None: ...
    @property
    def status(self) -> int: ...
    @property
    def cached(self) -> bool: ...
    @property
    def duration_ms(self) -> int | None: ...
    @property
    def time_to_first_token_ms(self) -> int | None: ...
    @property
    def input_tokens(self) -> int | None: ...
    @property
    def output_tokens(self) -> int | None: ...
    @property
    def cache_read_tokens(self) -> int | None: ...
    @property
    def cache_write_tokens(self) -> int | None: ...
    @property
    def reasoning_tokens(self) -> int | None: ...
    @property
    def input_audio_tokens(self) -> int | None: ...
    @property
    def output_audio_tokens(self) -> int | None: ...
    @property
    def usage_parts(self) -> Mapping[str, int] | None: ...
    @property
    def cost_nano_usd(self) -> int | None: ...
    @property
    def end_user_id(self) -> str | None: ...
    @property
    def api_key_id(self) -> int | None: ...
    @property
    def prompt_id(self) -> str | None: ...
    @property
    def country_code(self) -> str | None: ...
    @property
    def session_name(self) -> str | None: ...
    @property
    def properties(self) -> Mapping[str, str]: ...


COUNTED = tuple(name for name in vars(Counted) if isinstance(vars(Counted)[name], property))
"""Columns of the ground a count is made from."""


def write(connection: Db, changes: Sequence[Change]) -> None:
    """Appends what the changes add and take away. The caller's transaction holds their rows too."""
    append(connection, aggregate(_signed(changes)))


def _signed(changes: Iterable[Change]) -> Iterator[tuple[int, Counted]]:
    for change in changes:
        if change.before is not None:
            yield -1, change.before
        if change.after is not None:
            yield +1, change.after


# --- sums -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Usage:
    """Sums under one key: `measures` in the order of MEASURES, signed counts by bucket of the two lengths."""

    measures: list[int] = field(default_factory=lambda: [0] * len(MEASURES))
    durations: dict[int, int] = field(default_factory=dict)
    ttfts: dict[int, int] = field(default_factory=dict)

    def is_nothing(self) -> bool:
        return not (any(self.measures) or any(self.durations.values()) or any(self.ttfts.values()))


@dataclass(slots=True)
class Sums:
    """What a batch comes to. `facets` holds, by (organization_id, day) and facet, amounts still to be summed."""

    usage: defaultdict[UsageKey, Usage] = field(default_factory=lambda: defaultdict(Usage))
    facets: defaultdict[tuple[int, date], defaultdict[Facet, list[Sequence[int]]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )


class _Names(dict[Any, str]):
    """Names as they are counted, each worked out once a batch."""

    def __missing__(self, value: Any) -> str:
        name = self[value] = counted_name(value)
        return name


def aggregate(rows: Iterable[tuple[int, Counted]]) -> Sums:
    """One pass over rows and their signs. Lines and rebuild count by this function and no other."""
    sums, names = Sums(), _Names()
    usage, facets = sums.usage, sums.facets
    for sign, row in rows:
        if row.kind == ATTEMPT:
            continue
        at = row.requested_at.astimezone(UTC)
        key = (
            row.organization_id, at.replace(second=0, microsecond=0), names[row.kind], names[row.provider],
            names[row.model or ""], row.status, row.cached,
        )  # fmt: skip
        is_call = row.kind in MODEL_KINDS
        _count_lengths(usage[key], row, sign)
        if is_call:
            _count_tokens(usage[key].measures, row, sign)
            day = facets[row.organization_id, at.date()]
            amounts = _facet_amounts(row, sign)
            for facet in _facets(row, names):
                day[facet].append(amounts)
    return sums


def _count_lengths(usage: Usage, row: Counted, sign: int) -> None:
    measures = usage.measures
    measures[0] += sign
    duration, ttft = row.duration_ms, row.time_to_first_token_ms
    if duration is not None:
        measures[10] += sign * duration
        measures[11] += sign
        bucket = histogram.bucket(duration)
        usage.durations[bucket] = usage.durations.get(bucket, 0) + sign
    if ttft is not None:
        measures[12] += sign * ttft
        measures[13] += sign
        bucket = histogram.bucket(ttft)
        usage.ttfts[bucket] = usage.ttfts.get(bucket, 0) + sign


def _count_tokens(measures: list[int], row: Counted, sign: int) -> None:
    if row.cost_nano_usd is not None:
        measures[1] += sign
        measures[2] += sign * row.cost_nano_usd
    measures[3] += sign * (row.input_tokens or 0)
    measures[4] += sign * (row.output_tokens or 0)
    measures[5] += sign * (row.cache_read_tokens or 0)
    measures[6] += sign * (row.cache_write_tokens or 0)
    measures[7] += sign * (row.reasoning_tokens or 0)
    measures[8] += sign * (row.input_audio_tokens or 0)
    measures[9] += sign * (row.output_audio_tokens or 0)
    if row.cached:
        for place, amount in enumerate(_saved(row), _FIRST_SAVED):
            measures[place] += sign * amount


_FIRST_SAVED = MEASURES.index(SAVED[0])
_NOTHING_SAVED = (0,) * len(SAVED)


def _saved(row: Counted) -> tuple[int, ...]:
    """In the order of SAVED; of a row that was answered from the cache."""
    told = row.usage_parts or {}
    cost = told.get("saved_nano_usd")
    tokens = told.get("saved_input_tokens", 0) + told.get("saved_output_tokens", 0)
    return cost or 0, 0 if cost is None else 1, told.get("saved_ms", 0), tokens


def _facet_amounts(row: Counted, sign: int) -> tuple[int, ...]:
    """In the order of FACET_MEASURES; of a row that tells nothing beyond the COMMON ones, these only."""
    cost, duration, ttft = row.cost_nano_usd, row.duration_ms, row.time_to_first_token_ms
    common = (
        sign, sign if is_error(row.status) else 0, 0 if cost is None else sign, sign * (cost or 0),
        sign * (row.input_tokens or 0), sign * (row.output_tokens or 0),
        sign * (duration or 0), 0 if duration is None else sign,
    )  # fmt: skip
    read, written, reasoning = row.cache_read_tokens, row.cache_write_tokens, row.reasoning_tokens
    heard, spoken, cached = row.input_audio_tokens, row.output_audio_tokens, row.cached
    if not (read or written or reasoning or heard or spoken or cached) and ttft is None:
        return common
    saved = tuple(sign * amount for amount in _saved(row)) if cached else _NOTHING_SAVED
    return (
        *common, sign * (read or 0), sign * (written or 0), sign * (reasoning or 0), sign * (heard or 0),
        sign * (spoken or 0), sign if cached else 0, sign * (ttft or 0), 0 if ttft is None else sign,
        *saved,
    )  # fmt: skip


def _facets(row: Counted, names: _Names) -> list[Facet]:
    found = [(ALL, "")]
    if row.end_user_id:
        found.append(("user", names[row.end_user_id]))
    if row.api_key_id is not None:
        found.append(("key", str(row.api_key_id)))
    if row.prompt_id:
        found.append(("prompt", names[row.prompt_id]))
    if row.country_code:
        found.append(("country", names[row.country_code]))
    if row.session_name:
        found.append(("session", names[row.session_name]))
    for key, value in row.properties.items():
        name = names[key]
        found.append((PROPERTIES, name))
        found.append((PROPERTY + name, names[value] if value.__class__ is str else counted_name(value)))
    return found


# --- writing ----------------------------------------------------------------------------------------------------------

_USAGE_COLUMNS = ("organization_id", "minute", *KEY, *MEASURES, "duration_hist", "ttft_hist")
_USAGE_TYPES = (
    "int8", "timestamptz", "text", "text", "text", "int2", "bool", *["int8"] * len(MEASURES), "bytea", "bytea",
)  # fmt: skip
_FACET_COLUMNS = ("organization_id", "day", "dims", "vals", *FACET_MEASURES)
_FACET_TYPES = (
    "int8", "date", "text[]", "text[]", "int4[]", "int4[]", "int4[]", "int8[]", "int8[]", "int8[]", "int8[]", "int4[]",
    "int8[]", "int8[]", "int8[]", "int8[]", "int8[]", "int4[]", "int8[]", "int4[]",
    "int8[]", "int4[]", "int8[]", "int8[]",
)  # fmt: skip


def append(connection: Db, sums: Sums, *, usage_table: str = "usage_delta", facet_table: str = "facet_delta") -> None:
    """Sorted, without what comes to nothing."""
    usage = [_usage_row(key, sums.usage[key]) for key in sorted(sums.usage) if not sums.usage[key].is_nothing()]
    _copy(connection, usage, usage_table, columns=_USAGE_COLUMNS, types=_USAGE_TYPES)
    facets = [row for key in sorted(sums.facets) if (row := _facet_row(key, sums.facets[key]))]
    _copy(connection, facets, facet_table, columns=_FACET_COLUMNS, types=_FACET_TYPES)


def _usage_row(key: UsageKey, usage: Usage) -> tuple[Any, ...]:
    return (*key, *usage.measures, histogram.pack(usage.durations), histogram.pack(usage.ttfts))


def _facet_row(key: tuple[int, date], amounts: Mapping[Facet, list[Sequence[int]]]) -> tuple[Any, ...] | None:
    """One row of arrays; None where every facet comes to nothing."""
    summed = [(*facet, *total) for facet, several in sorted(amounts.items()) if any(total := _total(several))]
    if not summed:
        return None
    dims, vals, *measures = map(list, zip(*summed, strict=True))
    rare = [one if any(one) else [] for one in measures[COMMON:]]
    return (*key, dims, vals, *measures[:COMMON], *rare)


_NO_RARE = (0,) * (len(FACET_MEASURES) - COMMON)


def _total(several: Sequence[Sequence[int]]) -> Sequence[int]:
    """The sum of amounts, of which some are the COMMON ones only."""
    rare = [one for one in several if len(one) > COMMON]
    if len(rare) == len(several):
        return several[0] if len(several) == 1 else [sum(one) for one in zip(*several, strict=True)]
    common = [sum(one) for one in zip(*several)]  # noqa: B905 (the shortest, on purpose)
    return (*common, *(sum(one) for one in zip(*(one[COMMON:] for one in rare), strict=True))) if rare else (
        *common, *_NO_RARE)  # fmt: skip


def _copy(
    connection: Db, rows: Sequence[Sequence[Any]], table: str, *, columns: Sequence[str], types: Sequence[str]
) -> None:
    if not rows:
        return
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(sql.Identifier(table), names)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)
