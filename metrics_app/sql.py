"""A question as ONE statement: tiers, what is not folded into them yet, and the ground at the edges, added up.

Each piece answers rows of one layout: `t` the bucket, `d0`, `d1`, … the dimensions as text (never NULL: ABSENT and
OTHER stand for what has no value), `m_<measure>`, `h_<histogram>` of a tier or `v_<histogram>` of one request,
`n_<names>`, and `lo`, `hi`, `days`, `on_day` where first, last and active days are asked. Values are always bound.
"""
# ruff: noqa: S608 - what is put together here are entries of the catalogue and columns; every value is bound

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from llm.exchange import ATTEMPT, MODEL_KINDS
from metrics_app import rollup
from metrics_app.catalog import HISTOGRAMS, MEASURES, NAMES, SECONDS, Dimension, Measure, Metric
from metrics_app.question import Grain
from requests_app.filters import EVERYTHING, QUARTER, Clause, Node, compile

ABSENT, OTHER, ALL = "\x01absent", "\x01other", "\x01all"
GROUND = "llm_request"
UTC_ORIGIN = "'2000-01-01+00'"
_TIER_COLUMNS = ", ".join(
    ("organization_id", "kind", "provider", "status", "cached", *rollup.MEASURES, "duration_hist", "ttft_hist")
)
_WIDTHS = {"minute": "1 minute", "hour": "1 hour"}
_CALLS = ", ".join(f"'{kind}'" for kind in sorted(MODEL_KINDS))


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch [since, until) of one table, None for no bound. `table` is a tier's, `facet_day` or `llm_request`."""

    table: str
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True)
class Layout:
    """What every piece has to answer; `tree` is without times, `grain` None where time is no dimension.

    Without slots, so that what is asked again for each row of an answer is worked out once.
    """

    organization_id: int
    metrics: tuple[Metric, ...]
    dimensions: tuple[Dimension, ...]
    grain: Grain | None
    zone: tzinfo
    tree: Node = EVERYTHING
    kinds: frozenset[str] | None = None

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        keys = dict.fromkeys(["requests", *(key for metric in self.metrics for key in metric.measures)])
        return tuple(MEASURES[key] for key in keys)

    @cached_property
    def measure_keys(self) -> tuple[str, ...]:
        return tuple(one.key for one in self.measures)

    @cached_property
    def histograms(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(metric.histogram for metric in self.metrics if metric.histogram))

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(metric.names for metric in self.metrics if metric.names))

    @cached_property
    def has_edges(self) -> bool:
        return any(metric.edge for metric in self.metrics)

    @property
    def dims(self) -> list[str]:
        return [f"d{place}" for place in range(len(self.dimensions))]

    @property
    def keys(self) -> list[str]:
        return [*(["t"] if self.grain else []), *self.dims]

    @property
    def columns(self) -> list[str]:
        """Beside the keys."""
        return [
            *(f"m_{one.key}" for one in self.measures),
            *(f"{letter}_{one}" for one in self.histograms for letter in "hv"),
            *(f"n_{one}" for one in self.names),
            *(["lo", "hi", "days", "on_day"] if self.has_edges else []),
        ]


# --- pieces -------------------------------------------------------------------------------------------------------


_FULL_NAMES = {"CET": "Europe/Brussels", "MET": "Europe/Brussels", "EET": "Europe/Athens", "WET": "Europe/Lisbon"}
"""Zones with a summer, whose names are to Postgres abbreviations of an offset without one."""

_TWO_MIDNIGHTS = frozenset({"America/Havana", "Cuba", "Atlantic/Azores"})
"""Zones whose clocks go back over midnight: that day begins with the first one, where Postgres takes the second."""


def _zone(zone: tzinfo) -> str:
    """A time zone as SQL: by name, or as an offset."""
    if isinstance(zone, ZoneInfo) and re.fullmatch(r"[\w+/-]+", zone.key):
        return f"'{_FULL_NAMES.get(zone.key, zone.key)}'"
    offset = zone.utcoffset(None)
    return f"make_interval(secs => {int(offset.total_seconds()) if offset else 0})"


def bucket(at: str, grain: Grain, zone: tzinfo) -> str:
    """The start of the bucket a moment falls into; from six hours on the zone's, each from its first full hour."""
    if grain in _WIDTHS:
        return f"date_bin('{_WIDTHS[grain]}', {at}, {UTC_ORIGIN})"
    place = _zone(zone)
    local = f"(date_bin('1 hour', {at}, {UTC_ORIGIN}) AT TIME ZONE {place})"
    cut = f"date_bin('6 hours', {local}, '2000-01-01')" if grain == "6 hours" else f"date_trunc('{grain}', {local})"
    begun = f"({cut} AT TIME ZONE {place})"
    if isinstance(zone, ZoneInfo) and zone.key in _TWO_MIDNIGHTS:
        before = f"{begun} - interval '1 hour'"
        begun = f"(CASE WHEN ({before}) AT TIME ZONE {place} = {cut} THEN {before} ELSE {begun} END)"
    return f"date_bin('1 hour', {begun} + interval '59:59.999999', {UTC_ORIGIN})"


def _measure(layout: Layout, one: Measure, sql: str) -> str:
    may_be_others = layout.kinds is None or not layout.kinds <= MODEL_KINDS
    return f"(CASE WHEN r.kind IN ({_CALLS}) THEN {sql} ELSE 0 END)" if one.is_calls_only and may_be_others else sql


def _edges(layout: Layout, at: str, *, is_grouped: bool = False) -> list[str]:
    if not layout.has_edges:
        return []
    first, last = (f"min({at})", f"max({at})") if is_grouped else (at, at)
    return [f"{first} AS lo", f"{last} AS hi", "0 AS days", f"({at} AT TIME ZONE 'UTC')::date AS on_day"]


def _keys(layout: Layout, at: str, *, is_ground: bool) -> tuple[list[str], list[Any]]:
    found, values = [], []
    if layout.grain:
        found.append(f"{bucket(at, layout.grain, layout.zone)} AS t")
    for place, one in enumerate(layout.dimensions):
        expression = one.ground if is_ground else one.usage
        found.append(f"coalesce({expression}, '{ABSENT}') AS d{place}")
        values += [one.name] * (expression.count("%s") if one.name else 0)
    return found, values


def _condition(layout: Layout, time: str, piece: Piece) -> Clause:
    sql, values = "r.organization_id = %s", [layout.organization_id]
    bounds = ((">=", piece.since), ("<", piece.until))
    for operator, moment in bounds:
        if moment is not None:
            sql, values = f"{sql} AND {time} {operator} %s", [*values, moment]  # type: ignore[list-item]
    if layout.kinds is not None:
        sql, values = f"{sql} AND r.kind = ANY(%s)", [*values, sorted(layout.kinds)]  # type: ignore[list-item]
    else:
        sql = f"{sql} AND r.kind <> '{ATTEMPT}'"
    clause = compile(layout.tree)
    return Clause(f"{sql} AND {clause.sql}", (*values, *clause.values))


def condition(layout: Layout, piece: Piece) -> Clause:
    """Which rows `r` of the ground are meant."""
    return _condition(layout, "r.requested_at", piece)


def _tier(layout: Layout, piece: Piece, time: str) -> Clause:
    """A usage table, or its delta, under the ground's names: absent is NULL there."""
    keys, values = _keys(layout, "r.bucket", is_ground=False)
    columns = [
        *keys,
        *(f"{_measure(layout, one, one.usage)} AS m_{one.key}" for one in layout.measures),
        *(part for one in layout.histograms for part in (f"r.{one} AS h_{one}", f"NULL::int AS v_{one}")),
        *(f"NULL::text AS n_{one}" for one in layout.names),
        *_edges(layout, "r.bucket"),
    ]
    condition = _condition(layout, "r.bucket", piece)
    source = f"(SELECT {time} AS bucket, nullif(model, '') AS model, {_TIER_COLUMNS} FROM {piece.table})"
    sql = f"SELECT {', '.join(columns)} FROM {source} r WHERE {condition.sql}"
    return Clause(sql, (*values, *condition.values))


def usage(layout: Layout, pieces: Sequence[Piece]) -> list[Clause]:
    """Tiers, and over all they cover together what is not folded yet."""
    covered = Piece("usage_delta", pieces[0].since, pieces[-1].until)
    return [*(_tier(layout, piece, "bucket") for piece in pieces), _tier(layout, covered, "minute")]


def ground(layout: Layout, piece: Piece) -> Clause:
    """A row for each request where lengths or names are asked of it, else one for each group."""
    keys, values = _keys(layout, "r.requested_at", is_ground=True)
    is_grouped = not (layout.histograms or layout.names)
    measure = "sum({})::bigint AS m_{}" if is_grouped else "{} AS m_{}"
    columns = [
        *keys,
        *(measure.format(_measure(layout, one, one.ground), one.key) for one in layout.measures),
        *(part for one in layout.histograms for part in (f"NULL::bytea AS h_{one}", f"{HISTOGRAMS[one]} AS v_{one}")),
        *(f"nullif({NAMES[one][0]}, '') AS n_{one}" for one in layout.names),
        *_edges(layout, "r.requested_at", is_grouped=is_grouped),
    ]
    condition = _condition(layout, "r.requested_at", piece)
    sql = f"SELECT {', '.join(columns)} FROM llm_request r WHERE {condition.sql}"
    by = [*range(1, len(keys) + 1), *([len(columns)] if layout.has_edges else [])] if is_grouped else []
    return Clause(f"{sql} GROUP BY {', '.join(map(str, by))}" if by else sql, (*values, *condition.values))


def told(layout: Layout, columns: Sequence[Sequence[Any]]) -> Clause:
    """Rows of the layout that are known already: keys, measures and histograms as columns; without names and edges."""
    kinds = [
        *(["timestamptz"] if layout.grain else []), *(["text"] * len(layout.dims)),
        *(["bigint"] * len(layout.measures)), *(["bytea"] * len(layout.histograms)),
    ]  # fmt: skip
    names = [*layout.keys, *(f"m_{one.key}" for one in layout.measures), *(f"h_{one}" for one in layout.histograms)]
    shown = [
        *names[: len(names) - len(layout.histograms)],
        *(part for one in layout.histograms for part in (f"h_{one}", f"NULL::int AS v_{one}")),
    ]
    arrays = ", ".join(f"%s::{kind}[]" for kind in kinds)
    source = f"unnest({arrays}) AS told ({', '.join(names)})"
    return Clause(f"SELECT {', '.join(shown)} FROM {source}", tuple(map(list, columns)))


# --- facets -------------------------------------------------------------------------------------------------------

_SEEN = ("min(at) AS lo", "max(at) AS hi", "count(*)::int AS days", "NULL::date AS on_day")
"""Over rows that are one a day and value."""
_DAY = "(f.day::timestamp AT TIME ZONE 'UTC')"
_DELTA = (
    "(SELECT d.organization_id, d.day, e.dim, e.val, (e.val IS NULL)::int AS state, {of_each} FROM facet_delta d, "
    "unnest(d.dims, d.vals, {arrays}) AS e (dim, val, {names}))"
)


def facets(layout: Layout, piece: Piece, *, dim: str, values: Sequence[str] | None) -> Clause:
    """Values of one dimension by whole UTC days, with "absent" where no value is asked for by name."""
    names = [one.facet.removeprefix("f.") for one in layout.measures]
    delta = _DELTA.format(
        of_each=", ".join(f"coalesce(e.{name}, 0) AS {name}" for name in names),
        arrays=", ".join(f"d.{name}" for name in names),
        names=", ".join(names),
    )
    wanted = "f.dim = %s AND f.state = 0 AND f.val = ANY(%s)" if values is not None else "f.dim = ANY(%s)"
    bound: list[Any] = [dim, list(values)] if values is not None else [["all", dim]]
    folded, waiting = (_facet_rows(layout, source, piece, wanted, bound) for source in ("facet_day", delta))
    return _folded(layout, _by_day(layout, folded, waiting), has_absent=values is None)


def _facet_rows(layout: Layout, source: str, piece: Piece, wanted: str, bound: Sequence[Any]) -> Clause:
    columns = [
        f"{_DAY} AS at",
        f"CASE WHEN f.dim = 'all' THEN '{ALL}' WHEN f.state = 1 THEN '{OTHER}' ELSE f.val END AS d",
        *(f"{one.facet} AS m_{one.key}" for one in layout.measures),
    ]
    sql, values = f"f.organization_id = %s AND {wanted}", [layout.organization_id, *bound]
    for operator, moment in ((">=", piece.since), ("<", piece.until)):
        if moment is not None:
            sql, values = f"{sql} AND f.day {operator} %s", [*values, moment.date()]
    return Clause(f"SELECT {', '.join(columns)} FROM {source} f WHERE {sql}", tuple(values))


def _by_day(layout: Layout, folded: Clause, delta: Clause) -> Clause:
    """The table `by_day` to be. With edges its rows are days with requests, one each: what is folded has one a day
    and value already, so only those a delta touches are summed. `folded` is read once more only where there are any.
    NOT IN (nothing in it is NULL) looks each row up, where NOT EXISTS may sort them all."""
    if not layout.has_edges:
        return Clause(f"by_day AS ({folded.sql} UNION ALL {delta.sql})", (*folded.values, *delta.values))
    sums = ", ".join(f"sum(m_{one.key})::bigint AS m_{one.key}" for one in layout.measures)
    return Clause(
        f"folded AS NOT MATERIALIZED ({folded.sql}), delta AS ({delta.sql}), "
        f"touched AS (SELECT at, d, {sums} FROM (SELECT * FROM delta "
        "UNION ALL SELECT * FROM folded WHERE (at, d) IN (SELECT at, d FROM delta)) AS again GROUP BY at, d), "
        "by_day AS (SELECT * FROM folded WHERE m_requests <> 0 AND (at, d) NOT IN (SELECT at, d FROM delta) "
        "UNION ALL SELECT * FROM touched WHERE m_requests <> 0)",
        (*folded.values, *delta.values),
    )


def _folded(layout: Layout, raw: Clause, *, has_absent: bool) -> Clause:
    """Rows of the layout from rows by day: summed by value, and "absent" as all less what has a value."""
    time = ["t"] if layout.grain else []
    sums = [f"m_{one.key}" for one in layout.measures]
    edges = ["lo", "hi", "days", "on_day"] if layout.has_edges else []
    bucketed = [f"{bucket('at', layout.grain, layout.zone)} AS t"] if layout.grain else []
    keys = ", ".join([*time, "d"])
    has_days = layout.has_edges and has_absent
    grouped = [
        *bucketed, "d", *(f"sum({one})::bigint AS {one}" for one in sums), *(_SEEN if edges else []),
        *([f"at, d = '{ALL}' AS is_all, grouping(at) = 0 AS is_day"] if has_days else []),
    ]  # fmt: skip
    sets = f"GROUPING SETS (({keys}), ({', '.join([*time, 'at', 'is_all'])}))" if has_days else keys
    inner = f"SELECT {', '.join(grouped)} FROM by_day GROUP BY {sets} HAVING sum(m_requests) <> 0"
    out = [*time, *([f"d AS {layout.dims[0]}"] if layout.dims else []), *sums]
    named = [f"nullif(d, '{OTHER}') AS n_{one}" for one in layout.names]
    shown = f"SELECT {', '.join([*out, *named, *edges])} FROM summed WHERE d <> '{ALL}'"
    if has_absent:
        shown += f" UNION ALL {_absent(layout, sums, time)}"
    return Clause(f"SELECT * FROM (WITH {raw.sql}, summed AS ({inner}) {shown}) AS facets", raw.values)


def _absent(layout: Layout, sums: Sequence[str], time: Sequence[str]) -> str:
    """What of all has no value of the dimension; with edges worked out day by day, to know the days it has any."""
    left_over = "sum(CASE WHEN {all} THEN {one} ELSE -{one} END)::bigint"
    source, is_all = "FROM summed", f"d = '{ALL}'"
    if layout.has_edges:
        days = [*time, "at", *(f"{left_over.format(all='is_all', one=one)} AS {one}" for one in sums)]
        source = (
            f"FROM (SELECT {', '.join(days)} FROM summed WHERE is_day GROUP BY {', '.join([*time, 'at'])} "
            f"HAVING {left_over.format(all='is_all', one='m_requests')} <> 0) AS lost"
        )
    columns = [
        *time, *([f"'{ABSENT}'"] if layout.dims else []),
        *(f"sum({one})::bigint" if layout.has_edges else left_over.format(all=is_all, one=one) for one in sums),
        *(["NULL::text"] * len(layout.names)),
        *(["min(at)", "max(at)", "count(*)::int", "NULL::date"] if layout.has_edges else []),
    ]  # fmt: skip
    return f"SELECT {', '.join(columns)} {source}{f' GROUP BY {time[0]}' if time else ''}"


VALUES = (
    "SELECT val FROM (SELECT val, requests FROM facet_day WHERE organization_id = %s AND dim = %s AND state = 0 "
    "UNION ALL SELECT e.val, e.requests FROM facet_delta d, "
    "unnest(d.dims, d.vals, d.requests) AS e (dim, val, requests) "
    "WHERE d.organization_id = %s AND e.dim = %s AND e.val IS NOT NULL) AS f "
    "WHERE val ILIKE %s GROUP BY val HAVING sum(requests) <> 0 ORDER BY sum(requests) DESC, val LIMIT %s"
)
HAS_VALUES = (
    "SELECT EXISTS (SELECT 1 FROM facet_day WHERE organization_id = %s AND dim = %s AND requests <> 0) "
    "OR EXISTS (SELECT 1 FROM facet_delta d WHERE d.organization_id = %s AND %s = ANY (d.dims))"
)
HAS_OTHERS = (
    "SELECT EXISTS (SELECT 1 FROM facet_day WHERE organization_id = %s AND dim = %s AND state = 1 AND requests <> 0 "
    "AND day >= %s AND day < %s)"
)


_EDGE = (
    "(SELECT r.requested_at FROM llm_request r WHERE r.organization_id = %s AND {whose} AND r.kind = ANY(%s) "
    "AND r.requested_at >= w.{day} AND r.requested_at < w.{day} + interval '1 day' ORDER BY {order} LIMIT 1)"
)


def edges_of_users(organization_id: int, users: Sequence[tuple[str, datetime, datetime]], *, absent: bool) -> Clause:
    """When each was first and last seen to the microsecond, of the days these lie in; NULL where no request is left."""
    whose = "coalesce(r.end_user_id, '') = ''"
    order = "r.requested_at {0}"
    if not absent:
        quarter, day = QUARTER.format("r.requested_at"), "w.{day}"
        whose = f"r.end_user_id = w.name AND {quarter} >= {day} AND {quarter} < {day} + interval '1 day'"
        order = f"{quarter} {{0}}, {order}"
    sides = [
        _EDGE.format(whose=whose.format(day=day), day=day, order=order.format(direction))
        for day, direction in (("low", "ASC"), ("high", "DESC"))
    ]
    bound = (organization_id, sorted(MODEL_KINDS))
    return Clause(
        f"SELECT {', '.join(sides)} FROM unnest(%b::text[], %b::timestamptz[], %b::timestamptz[]) "
        "WITH ORDINALITY AS w (name, low, high, place) ORDER BY place",
        (*bound, *bound, *map(list, zip(*users, strict=True))),
    )


# --- the whole ----------------------------------------------------------------------------------------------------


def _sum(keys: Sequence[str]) -> str:
    return " + ".join(f"sum(m_{key})" for key in keys)


def order_of(metric: Metric) -> str:
    """An expression over a group; percentiles have none and are ordered after."""
    if metric.names:
        return f"count(DISTINCT n_{metric.names})"
    if metric.edge:
        return {"first": "min(lo)", "last": "max(hi)", "days": "(sum(days) + count(DISTINCT on_day))"}[metric.edge]
    top = f"({_sum(metric.plus)}{''.join(f' - sum(m_{key})' for key in metric.minus)})"
    if not metric.over or metric.over == (SECONDS,):
        return top
    less = "".join(f" - sum(m_{key})" for key in metric.less)
    return f"{top} * {metric.scale}.0 / nullif({_sum(metric.over)}{less}, 0)"


def _aggregates(layout: Layout) -> list[str]:
    return [
        *(f"coalesce(sum(m_{one.key}), 0)::bigint" for one in layout.measures),
        *(
            part for one in layout.histograms
            for part in (f"string_agg(h_{one}, ''::bytea)", f"array_agg(v_{one}) FILTER (WHERE v_{one} IS NOT NULL)")
        ),
        *(f"count(DISTINCT n_{one})" for one in layout.names),
        *(["min(lo)", "max(hi)", "(coalesce(sum(days), 0) + count(DISTINCT on_day))::bigint"]
          if layout.has_edges else []),
    ]  # fmt: skip


def statement(
    layout: Layout, pieces: Sequence[Clause], *, order: str, top: int = 0, first: int = 1, last: int = 1
) -> Clause:
    """Keys, aggregates, is_total, place, places; the total first.

    `top`: so many values of the dimensions are kept apart by `order`, the rest becomes OTHER. `first` and `last` are
    the places shown.
    """
    union = " UNION ALL ".join(f"({piece.sql})" for piece in pieces)
    values = [value for piece in pieces for value in piece.values]
    aggregates = ", ".join(_aggregates(layout))
    if not layout.keys:
        return Clause(f"SELECT {aggregates}, 1, 1, 1 FROM ({union}) AS q", tuple(values))
    source, before = "q", f"WITH q AS ({union})"
    if top and layout.dims:
        before, source = f"{before}, {_topped(layout, order)}", "kept"
        values.append(top)
    keys, is_total = ", ".join(layout.keys), f"grouping({layout.keys[0]})"
    place = "t" if layout.grain and source == "kept" else order
    sql = (
        f"{before} SELECT * FROM (SELECT {keys}, {aggregates}, {is_total} AS is_total, "
        f"row_number() OVER (ORDER BY {is_total} DESC, {place}, {keys}) AS place, count(*) OVER () AS places "
        f"FROM {source} GROUP BY GROUPING SETS (({keys}), ()) HAVING {is_total} = 1 OR sum(m_requests) <> 0) AS answer "
        "WHERE is_total = 1 OR place BETWEEN %s AND %s ORDER BY place"
    )
    return Clause(sql, (*values, first + 1, last + 1))


def whole(layout: Layout, pieces: Sequence[Clause], *, order: str, top: int = 0) -> Clause:
    """The same of every group, without total and places: rows wide with histograms are neither sorted nor summed here.

    The total is the sum of its groups, so this takes a layout that neither counts names nor has edges.
    """
    union = " UNION ALL ".join(f"({piece.sql})" for piece in pieces)
    values = [value for piece in pieces for value in piece.values]
    source, before = "q", f"WITH q AS ({union})"
    if top and layout.dims:
        before, source = f"{before}, {_topped(layout, order)}", "kept"
        values.append(top)
    keys = ", ".join(layout.keys)
    place = "NULL" if layout.grain else f"row_number() OVER (ORDER BY {order}, {keys})"
    sql = f"{before} SELECT {keys}, {', '.join(_aggregates(layout))}, 0, {place}, 0 FROM {source} GROUP BY {keys} "
    return Clause(f"{sql}HAVING sum(m_requests) <> 0", tuple(values))


def _topped(layout: Layout, order: str) -> str:
    dims = ", ".join(layout.dims)
    kept = [
        *(["q.t"] if layout.grain else []),
        *(f"CASE WHEN top.d0 IS NULL THEN '{OTHER}' ELSE q.{dim} END AS {dim}" for dim in layout.dims),
        *(f"q.{column}" for column in layout.columns),
    ]
    return (
        f"top AS (SELECT {dims} FROM q GROUP BY {dims} HAVING sum(m_requests) <> 0 ORDER BY {order}, {dims} LIMIT %s), "
        f"kept AS (SELECT {', '.join(kept)} FROM q LEFT JOIN top USING ({dims}))"
    )
